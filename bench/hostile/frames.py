"""HTTP/2 frames and field blocks as bytes, legal or not. Nothing here is shared with the servers under attack."""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER: Final = Struct(">IBI")  # length (24 bits) and type, flags, stream

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
UNKNOWN: Final = 0x77
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)

ERRORS: Final = (
    *("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED"),
    *("FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"),
)

HEALTH: Final = "/grpc.health.v1.Health/Check"
PUSH: Final = "/homing.v1.Router/Push"
PUSH_STREAM: Final = "/homing.v1.Router/PushStream"
REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

Fields = Sequence[tuple[str, str | bytes]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame."""
    return HEADER.pack(len(payload) << 8 | kind, flags, stream) + payload


def uint32(number: int) -> bytes:
    """Four bytes."""
    return number.to_bytes(4, "big")


def settings(entries: Iterable[tuple[int, int]] = ()) -> bytes:
    """A SETTINGS frame; a setting may occur more than once."""
    return frame(SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + uint32(value) for key, value in entries))


def window_update(stream: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; 0 is malformed."""
    return frame(WINDOW_UPDATE, 0, stream, uint32(increment))


def rst_stream(stream: int, code: int = 8) -> bytes:
    """An RST_STREAM frame, CANCEL by default."""
    return frame(RST_STREAM, 0, stream, uint32(code))


def message(payload: bytes) -> bytes:
    """A gRPC message, not compressed."""
    return b"\0" + uint32(len(payload)) + payload


def literal(name: str | bytes, value: str | bytes) -> bytes:
    """A field that is not indexed (RFC 7541 §6.2.2): the same bytes on every connection, whatever is in them."""
    return b"\0" + _string(name) + _string(value)


def _string(text: str | bytes) -> bytes:
    octets = text.encode("latin-1") if isinstance(text, str) else text
    return integer(len(octets), 7) + octets


def integer(value: int, bits: int) -> bytes:
    """An integer of HPACK with a prefix of so many bits (RFC 7541 §5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((value,))
    octets, value = bytearray((limit,)), value - limit
    while value >= 128:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*octets, value))


def block(fields: Fields) -> bytes:
    """A field block."""
    return b"".join(literal(name, value) for name, value in fields)


def request_fields(path: str, extra: Fields = ()) -> Fields:
    """The fields of a legal gRPC request."""
    pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    return [*pseudo, ("content-type", "application/grpc"), ("te", "trailers"), *extra]


def headers(stream: int, fields: Fields, end_stream: bool = False) -> bytes:
    """HEADERS, and CONTINUATION for what is above 16 KiB."""
    encoded = block(fields)
    parts = [encoded[at : at + 16384] for at in range(0, len(encoded), 16384)] or [b""]
    flags = END_STREAM if end_stream else 0
    first = frame(HEADERS, flags | (END_HEADERS if len(parts) == 1 else 0), stream, parts[0])
    rest = [frame(CONTINUATION, END_HEADERS if part is parts[-1] else 0, stream, part) for part in parts[1:]]
    return first + b"".join(rest)


def call(stream: int, path: str, request: bytes = b"", extra: Fields = ()) -> bytes:
    """A whole unary call, whose request fits into a frame."""
    return headers(stream, request_fields(path, extra)) + frame(DATA, END_STREAM, stream, message(request))


def error_name(code: int) -> str:
    """The name of an error code."""
    return ERRORS[code] if code < len(ERRORS) else str(code)
