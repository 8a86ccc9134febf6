"""Core: requests of PushStream made by joining bytes, since making messages field by field costs the generator more.

Protobuf's fields may come in any order, so what every push has in common is encoded once, and the rest put before it.
"""

from collections.abc import Callable
from typing import Any

from bench.cluster.load.tally import data
from homing.v1 import router_pb2 as pb

MESSAGE_PUSHES = 256
MESSAGE_BYTES = 1024 * 1024
_KEY = {"session": b"\x08", "user": b"\x12", "file": b"\x1a"}  # of Target's fields: number << 3 | wire type
_TARGET, _DATA, _PUSH_ID, _TRACEPARENT, _PUSHES = b"\x0a", b"\x1a", b"\x2a", b"\x5a", b"\x0a"


def varint(value: int) -> bytes:
    """Protobuf's base 128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(key: bytes, value: bytes) -> bytes:
    """A field with a length."""
    return key + varint(len(value)) + value


class Requests:
    """The pushes of one series. `told`: kind, target (`user`, `file` or `session`), names (a pattern with %d,
    or a list), count, size, ack_ms."""

    def __init__(self, told: dict[str, Any], trace: Callable[[int], str]) -> None:
        self._kind, self._size = int(told["kind"]), int(told["size"])
        self._count, self._trace = int(told["count"]), trace
        self._key, self._names = _KEY[told["target"]], told["names"]
        common = pb.PushRequest(event="e", max_deliveries=0)
        if told["ack_ms"]:
            common.ack_timeout.FromMilliseconds(int(told["ack_ms"]))
        self._common = common.SerializeToString()

    def push(self, number: int, due_us: int) -> bytes:
        """One push, as a field of PushStreamRequest."""
        body = data(self._kind, number, due_us, self._size)
        traceparent = self._trace(number)
        return field(
            _PUSHES,
            b"%b%b%b%b%b"
            % (
                field(_TARGET, self._target(number)),
                field(_DATA, body),
                field(_PUSH_ID, b"%d-%d" % (self._kind, number)),
                field(_TRACEPARENT, traceparent.encode()) if traceparent else b"",
                self._common,
            ),
        )

    def _target(self, number: int) -> bytes:
        turn = number % self._count
        name = self._names[turn] if isinstance(self._names, list) else self._names.replace("%d", str(turn))
        return self._key + varint(int(name)) if self._key == _KEY["session"] else field(self._key, name.encode())


def batches(pushes: list[bytes]) -> list[bytes]:
    """Messages of at most 256 pushes and 1 MiB, as the API wants them."""
    made: list[bytes] = []
    gathered: list[bytes] = []
    size = 0
    for push in pushes:
        if gathered and (size + len(push) > MESSAGE_BYTES or len(gathered) == MESSAGE_PUSHES):
            made.append(b"".join(gathered))
            gathered, size = [], 0
        gathered.append(push)
        size += len(push)
    return [*made, b"".join(gathered)] if gathered else made
