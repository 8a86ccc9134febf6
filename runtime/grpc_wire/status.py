"""gRPC's statuses, and the headers that carry them (gRPC over HTTP/2)."""

from collections.abc import Container
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from runtime.grpc_wire import frames
from runtime.grpc_wire.headerblocks import Headers

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED = range(8)
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = range(8, 15)
UNAUTHENTICATED: Final = 16

NAMES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
HTTP: Final = {400: INTERNAL, 401: 16, 403: PERMISSION_DENIED, 404: UNIMPLEMENTED} | dict.fromkeys(
    (429, 502, 503, 504), UNAVAILABLE
)
RESETS: Final = {
    frames.REFUSED_STREAM: UNAVAILABLE,
    frames.CANCEL: CANCELLED,
    frames.ENHANCE_YOUR_CALM: RESOURCE_EXHAUSTED,
}
UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
HEAD: Final[Headers] = [(b":status", b"200"), (b"content-type", b"application/grpc")]


class StreamEnded(Exception):
    """How a stream ended, or must end: a gRPC status and its message."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status

    def __str__(self) -> str:
        name = NAMES[self.status] if 0 <= self.status < len(NAMES) else f"status {self.status}"
        return f"{name.lower()}: {self.args[0]}"


def request(path: str, authority: str) -> Headers:
    """What opens a stream."""
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"grpc-python-homing/1"),
    ]


def judge_request(headers: Headers, paths: Container[bytes]) -> float | None:
    """The seconds that a request may take, None for no end. Raises StreamEnded for one that is not served here."""
    named = dict(headers)
    if named.get(b":method") != b"POST" or not named.get(b"content-type", b"").startswith(b"application/grpc"):
        raise StreamEnded(INTERNAL, "this is not gRPC")
    if named.get(b":path") not in paths:
        raise StreamEnded(UNIMPLEMENTED, "no such method")
    value = named.get(b"grpc-timeout")
    if value is None:
        return None
    unit = UNITS.get(value[-1:])
    if unit is None or not value[:-1].isdigit() or len(value) > 9:
        raise StreamEnded(INTERNAL, "grpc-timeout cannot be read")
    return int(value[:-1]) * unit


def trailers(status: int, why: str) -> Headers:
    """What ends a stream."""
    message = [(b"grpc-message", quote_from_bytes(why.encode(), _PLAIN).encode())] if why else []
    return [(b"grpc-status", b"%d" % status), *message]


def judge_head(headers: Headers) -> StreamEnded | None:
    """Why a response's head ends the stream; None when it is gRPC's."""
    named = dict(headers)
    code = named.get(b":status", b"")
    if code != b"200":
        number = int(code) if code.isdigit() else 0
        return StreamEnded(HTTP.get(number, UNKNOWN), f"HTTP status {number}")
    if not named.get(b"content-type", b"").startswith(b"application/grpc"):
        return StreamEnded(UNKNOWN, "the answer is not gRPC")
    return None


def judge_trailers(headers: Headers) -> StreamEnded:
    """How the peer ended the stream."""
    named = dict(headers)
    if b"grpc-status" not in named:
        return judge_head(headers) or StreamEnded(UNKNOWN, "the stream ended without a status")
    status = named[b"grpc-status"]
    why = unquote_to_bytes(named.get(b"grpc-message", b"")).decode(errors="replace")
    return StreamEnded(int(status) if status.isdigit() and len(status) < 4 else UNKNOWN, why)


def judge_reset(code: int) -> StreamEnded:
    """What a reset means."""
    return StreamEnded(RESETS.get(code, INTERNAL), f"the stream was reset with code {code}")
