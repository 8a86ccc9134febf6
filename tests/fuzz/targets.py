"""What is fuzzed: each reader of bytes from the network, with a second opinion where there is one.

A target takes bytes and raises when something is wrong: an error that no reader may raise, a result that depends on how
the bytes were cut, or one that another implementation does not share.
"""

import itertools
import zlib
from collections.abc import Callable
from contextlib import suppress

from gateway.door.extensions import negotiate
from gateway.door.head import Head, HeadReader
from gateway.door.proxy_header import BadProxyHeader, read_proxy_header
from gateway.door.upgrade import check_upgrade
from gateway.door.values import Refusal
from gateway.wire.deflate import WINDOW_BITS, inflate
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.envelope_msgpack import MsgpackEnvelope
from gateway.wire.messages import (
    CompressedReceived,
    Event,
    MessageLimits,
    MessageReceived,
    MessageTooLarge,
    ProtocolViolation,
    receive,
)
from gateway.wire.values import BadMessage
from registry.keys import MalformedKey, parse_key

LIMITS = MessageLimits(5000, 8, discard=20_000)
BARE_LIMITS = MessageLimits(5000, 8)
INFLATED = 50_000  # bytes
JSON, MSGPACK = JsonEnvelope(), MsgpackEnvelope()


def fuzz_reader(data: bytes) -> None:
    """WebSocket frames: whole, byte by byte, and cut where the first byte says."""
    for limits in (LIMITS, BARE_LIMITS, MessageLimits(5000, 8, inflate=True)):
        whole = _read([data], limits)
        assert _read([bytes((byte,)) for byte in data], limits) == whole
        cut = data[0] % len(data) if data else 0
        assert _read([data[:cut], data[cut:]], limits) == whole


def _read(pieces: list[bytes], limits: MessageLimits) -> list[Event]:
    events: list[Event] = []
    reader = None
    for piece in pieces:
        found, reader = receive(piece, reader, limits)
        events += found
    return events


def fuzz_deflate(data: bytes) -> None:
    """Compressed messages: as zlib inflates them in one go, never more than the limit."""
    limits = MessageLimits(INFLATED, 8, inflate=True)
    found = inflate(CompressedReceived(False, data), limits)
    assert not isinstance(found, MessageTooLarge)
    if isinstance(found, MessageReceived):
        assert len(found.payload) <= INFLATED
        assert found.payload == _inflated(data)
    else:
        assert isinstance(found, ProtocolViolation)
    inflate(CompressedReceived(True, data), limits)


def _inflated(data: bytes) -> bytes:
    """All streams of a message, one behind the other."""
    rest, out = data + b"\x00\x00\xff\xff", b""
    while rest:
        stream = zlib.decompressobj(-15)
        out += stream.decompress(rest)
        rest = stream.unused_data if stream.eof else b""
    return out


def fuzz_head(data: bytes) -> None:
    """Request heads: the verdict depends on the bytes alone; what is accepted is judged as a handshake."""
    whole = _verdict([data])
    assert _verdict([bytes((byte,)) for byte in data]) == whole
    if isinstance(whole, Head):
        assert whole.path.startswith("/")
        check_upgrade(whole, {"homing.json"}, WINDOW_BITS)


def _verdict(pieces: list[bytes]) -> Head | Refusal | None:
    reader = HeadReader()
    return next((found for piece in pieces if (found := reader.feed(piece)) is not None), None)


def fuzz_extensions(data: bytes) -> None:
    """Offers of extensions: never an error."""
    agreed = negotiate(data.decode("latin-1"), WINDOW_BITS)
    assert agreed is None or agreed.window_bits in WINDOW_BITS


def fuzz_json(data: bytes) -> None:
    """Messages of homing.json: a message, or one kind of error."""
    for text in (True, False):
        with suppress(BadMessage):
            JSON.read(text, data)


def fuzz_msgpack(data: bytes) -> None:
    """Messages of homing.msgpack."""
    for text in (True, False):
        with suppress(BadMessage):
            MSGPACK.read(text, data)


def fuzz_proxy(data: bytes) -> None:
    """PROXY headers: complete at one length, whatever follows."""
    found = []
    for end in itertools.chain(range(min(len(data), 300)), [len(data)]):
        try:
            header = read_proxy_header(data[:end])
        except BadProxyHeader:
            header = None
        if header is not None:
            found.append(header)
    assert len(set(found)) <= 1


def fuzz_keys(data: bytes) -> None:
    """Keys of the registry."""
    with suppress(MalformedKey):
        parse_key(data.decode("latin-1"), 0)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "reader": fuzz_reader,
    "deflate": fuzz_deflate,
    "head": fuzz_head,
    "extensions": fuzz_extensions,
    "json": fuzz_json,
    "msgpack": fuzz_msgpack,
    "proxy": fuzz_proxy,
    "keys": fuzz_keys,
}
