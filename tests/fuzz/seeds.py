"""Inputs to begin with: good ones of each kind, which a fuzzer then mutates."""

import base64
import struct
import zlib

import msgspec

from gateway.door.proxy_header import SIGNATURE
from tests.support.frames import frame, goodbye
from tests.support.heads import head

MESSAGES = (
    {"type": "event", "event": "e", "data": {"a": [1, 2.5, "é"]}, "id": 1},
    {"type": "event", "event": "e", "data": base64.b64encode(b"\0\1").decode(), "content_type": "application/cbor"},
    {"type": "join", "file": "doc", "id": 2},
    {"type": "leave", "file": "doc", "id": 3},
    {"type": "ack", "id": 4, "data": None},
    {"type": "auth", "token": "a.b.c", "id": 5},
    {"type": "ping", "id": 6},
)
OFFERS = (
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=10; client_no_context_takeover, permessage-deflate",
    'permessage-deflate; server_max_window_bits="15"',
    "x-other; a=b, , permessage-deflate; server_no_context_takeover",
)


def _deflated(data: bytes, level: int) -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _masked(*payloads: bytes) -> bytes:
    return b"".join(frame(payload, 1 + number % 2) for number, payload in enumerate(payloads))


SEEDS: dict[str, list[bytes]] = {
    "reader": [_masked(b"hello", b"x" * 200, b""), frame(b"a" * 5001), frame(b"ping", 9), goodbye(), _masked(b"\xff")],
    "deflate": [_deflated(b"hello" * 50, level) for level in (0, 1, 9)] + [b"\x02\x00", b"\x03\x00", b""],
    "head": [head(), head(extra="X: y\r\n"), head("/ws?token=a&file=b"), b"GET / HTTP/1.0\r\n\r\n"],
    "extensions": [offer.encode() for offer in OFFERS],
    "json": [msgspec.json.encode(message) for message in MESSAGES],
    "msgpack": [msgspec.msgpack.encode(message) for message in MESSAGES],
    "proxy": [
        b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n",
        b"PROXY UNKNOWN\r\n",
        SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 12) + bytes(12),
        SIGNATURE + struct.pack(">BBH", 0x20, 0x00, 0),
    ],
    "keys": [b"sessions/u/123/n.5", b"files/doc/n.5", b"nodes/n", b"batches/n", b"layout"],
}
