"""gRPC's statuses, and the headers and trailers that carry them (gRPC over HTTP/2)."""

from collections.abc import Container
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from runtime.grpc_wire import frames
from runtime.grpc_wire.header_blocks import HeaderFields

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED = range(8)
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = range(8, 15)
UNAUTHENTICATED: Final = 16

STATUS_NAMES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
FROM_HTTP: Final = {400: INTERNAL, 401: 16, 403: PERMISSION_DENIED, 404: UNIMPLEMENTED} | dict.fromkeys(
    (429, 502, 503, 504), UNAVAILABLE
)
FROM_RST_STREAM: Final = {
    frames.REFUSED_STREAM: UNAVAILABLE,
    frames.CANCEL: CANCELLED,
    frames.ENHANCE_YOUR_CALM: RESOURCE_EXHAUSTED,
}
TIMEOUT_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_UNESCAPED: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # in grpc-message
CONTENT_TYPE: Final = b"application/grpc"
ACCEPT_ENCODING: Final = (b"grpc-accept-encoding", b"identity,gzip")  # what we read; what we send is not compressed
RESPONSE_HEADERS: Final[HeaderFields] = [(b":status", b"200"), (b"content-type", CONTENT_TYPE), ACCEPT_ENCODING]
MAX_STATUS_TEXT: Final = 1024  # characters of a status' message: a peer's own input may be in it


class StreamEnded(Exception):
    """How a stream has ended, or must end: a gRPC status and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def message(self) -> str:
        """The status' message; may be empty."""
        return str(self.args[0])

    def __str__(self) -> str:
        name = STATUS_NAMES[self.status] if 0 <= self.status < len(STATUS_NAMES) else f"status {self.status}"
        return f"{name.lower()}: {self.message}"


def request_headers(path: str, authority: str) -> HeaderFields:
    """The headers of a request."""
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", CONTENT_TYPE),
        ACCEPT_ENCODING,
        (b"user-agent", b"grpc-python-homing/1"),
    ]


def check_grpc(headers: HeaderFields) -> int | None:
    """The HTTP status for a request that is not gRPC (gRPC over HTTP/2, "Requests"); None for one that is."""
    named = dict(headers)
    if named.get(b":method") != b"POST":
        return 405
    content_type = named.get(b"content-type", b"")
    kind, rest = content_type[: len(CONTENT_TYPE)], content_type[len(CONTENT_TYPE) : len(CONTENT_TYPE) + 1]
    return None if kind == CONTENT_TYPE and rest in (b"", b"+", b";") else 415


def check_request(headers: HeaderFields, paths: Container[bytes]) -> float | None:
    """The timeout of a gRPC request, in seconds; None: no deadline. StreamEnded for one that is not served here."""
    named = dict(headers)
    if named.get(b":path") not in paths:
        raise StreamEnded(UNIMPLEMENTED, "no such method")
    value = named.get(b"grpc-timeout")
    if value is None:
        return None
    unit = TIMEOUT_UNITS.get(value[-1:])
    if unit is None or not value[:-1].isdigit() or len(value) > 9:
        raise StreamEnded(INTERNAL, "grpc-timeout cannot be read")
    return int(value[:-1]) * unit


def trailers(status: int, message: str) -> HeaderFields:
    """The trailers of a response."""
    if len(message) > MAX_STATUS_TEXT:
        message = message[:MAX_STATUS_TEXT] + "..."
    text = message.encode(errors="replace")
    escaped = [(b"grpc-message", quote_from_bytes(text, _UNESCAPED).encode())] if message else []
    return [(b"grpc-status", b"%d" % status), *escaped]


def status_from_headers(headers: HeaderFields) -> StreamEnded | None:
    """Why the headers of a response end the stream; None when they are gRPC's."""
    named = dict(headers)
    code = named.get(b":status", b"")
    if code != b"200":
        number = int(code) if code.isdigit() else 0
        return StreamEnded(FROM_HTTP.get(number, UNKNOWN), f"HTTP status {number}")
    if not named.get(b"content-type", b"").startswith(b"application/grpc"):
        return StreamEnded(UNKNOWN, "the answer is not gRPC")
    return None


def status_from_trailers(headers: HeaderFields) -> StreamEnded:
    """The status in the trailers of a response."""
    named = dict(headers)
    if b"grpc-status" not in named:
        return status_from_headers(headers) or StreamEnded(UNKNOWN, "the stream ended without a status")
    status = named[b"grpc-status"]
    message = unquote_to_bytes(named.get(b"grpc-message", b"")).decode(errors="replace")
    return StreamEnded(int(status) if status.isdigit() and len(status) < 4 else UNKNOWN, message)


def status_from_reset(code: int) -> StreamEnded:
    """The status that an RST_STREAM stands for."""
    return StreamEnded(FROM_RST_STREAM.get(code, INTERNAL), f"the stream was reset with code {code}")
