"""Core: encodes PushStream requests by joining bytes, which costs the generator less than building protobuf messages.

Protobuf accepts fields in any order, so the fields that all pushes share are encoded once.
"""

import secrets
from collections.abc import Callable
from typing import Any

from bench.cluster.load.tally import data
from homing.v1 import router_pb2 as pb

MESSAGE_PUSHES = 256
MESSAGE_BYTES = 1024 * 1024
_KEY = {"session": b"\x08", "user": b"\x12", "file": b"\x1a"}  # of Target's fields: number << 3 | wire type
_TARGET, _DATA, _PUSH_ID, _TRACEPARENT, _PUSHES = b"\x0a", b"\x1a", b"\x2a", b"\x5a", b"\x0a"


def encode_varint(value: int) -> bytes:
    """An integer in protobuf's base 128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def length_delimited(key: bytes, value: bytes) -> bytes:
    """A length-delimited field."""
    return key + encode_varint(len(value)) + value


class PushEncoder:
    """Encodes the pushes of one series. `settings`: kind, target (`user`, `file` or `session`), names (a pattern with
    %d, or a list), count, size, ack_ms."""

    def __init__(self, settings: dict[str, Any], trace: Callable[[int], str]) -> None:
        self._kind, self._size = int(settings["kind"]), int(settings["size"])
        self._count, self._trace = int(settings["count"]), trace
        self._key, self._names = _KEY[settings["target"]], settings["names"]
        common = pb.PushRequest(event="e", max_deliveries=0)
        if settings["ack_ms"]:
            common.ack_timeout.FromMilliseconds(int(settings["ack_ms"]))
        self._common = common.SerializeToString()
        self._series = secrets.token_hex(4).encode()  # a push_id that comes back would be a duplicate

    def push(self, number: int, due_us: int) -> bytes:
        """One push, as a field of PushStreamRequest."""
        body = data(self._kind, number, due_us, self._size)
        traceparent = self._trace(number)
        return length_delimited(
            _PUSHES,
            b"%b%b%b%b%b"
            % (
                length_delimited(_TARGET, self._target(number)),
                length_delimited(_DATA, body),
                length_delimited(_PUSH_ID, b"%d-%d-%b" % (self._kind, number, self._series)),
                length_delimited(_TRACEPARENT, traceparent.encode()) if traceparent else b"",
                self._common,
            ),
        )

    def _target(self, number: int) -> bytes:
        index = number % self._count
        name = self._names[index] if isinstance(self._names, list) else self._names.replace("%d", str(index))
        if self._key == _KEY["session"]:
            return self._key + encode_varint(int(name))
        return length_delimited(self._key, name.encode())


def batches(pushes: list[bytes]) -> list[bytes]:
    """Messages of at most 256 pushes and 1 MiB, the API's limits; a larger push travels alone."""
    messages: list[bytes] = []
    batch: list[bytes] = []
    size = 0
    for push in pushes:
        if batch and (size + len(push) > MESSAGE_BYTES or len(batch) == MESSAGE_PUSHES):
            messages.append(b"".join(batch))
            batch, size = [], 0
        batch.append(push)
        size += len(push)
    return [*messages, b"".join(batch)] if batch else messages
