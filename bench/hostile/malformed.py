"""Malformed requests, one each on a connection of its own, and what RFC 9113 and RFC 9112 let a server answer."""

import socket
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.hostile import frames
from bench.hostile.attacks.http import HEAD, select_readable, status_of
from bench.hostile.peer import HOST, Peer

ANSWER_WITHIN = 0.5  # seconds
MALFORMED = ("RST PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR", "closed", ":status 400")  # RFC 9113 §8.1.1
CLOSED = ("RST STREAM_CLOSED", "GOAWAY STREAM_CLOSED", "GOAWAY PROTOCOL_ERROR", "closed")  # §5.1
CONNECTION = ("GOAWAY PROTOCOL_ERROR", "closed")  # §5.4.1


class Malformed(NamedTuple):
    """What is sent after the handshake, and the answers that are right."""

    name: str
    data: bytes
    expected: Sequence[str]
    http: bool = False  # to the HTTP/JSON port, without a handshake


def _fields(name: str, *fields: tuple[str, str | bytes], expected: Sequence[str] = MALFORMED) -> Malformed:
    return Malformed(name, frames.headers(1, fields) + _BODY, expected)


def _extra(name: str, *extra: tuple[str, str | bytes], expected: Sequence[str] = MALFORMED) -> Malformed:
    return _fields(name, *frames.request_fields(frames.HEALTH, extra), expected=expected)


def _without(field: str) -> Malformed:
    fields = [one for one in frames.request_fields(frames.HEALTH) if one[0] != field]
    return _fields(f"no {field}", *fields)


def _http(name: str, *parts: str | bytes, expected: Sequence[str] = ("400",)) -> Malformed:
    data = b"".join(part.encode("latin-1") if isinstance(part, str) else part for part in parts)
    return Malformed(name, data, expected, True)


_BODY = frames.frame(frames.DATA, frames.END_STREAM, 1, frames.message(b""))
_CALL = frames.call(1, frames.HEALTH)
_REQUEST = frames.request_fields(frames.HEALTH)
_OPEN = frames.headers(1, frames.request_fields(frames.PUSH_STREAM))
_JSON = '{"target":{"user":"ada"},"event":"e","data":""}'

CASES = [
    _extra("upper-case name", ("X-Upper", "1")),
    _extra("space in a name", ("x y", "1")),
    _extra("CR in a value", ("x-a", "1\r2")),
    _extra("LF in a value", ("x-a", "1\n2")),
    _extra("NUL in a value", ("x-a", "1\0002")),
    _extra("space before a value", ("x-a", " 1")),
    _extra("connection header", ("connection", "close")),
    _extra("transfer-encoding header", ("transfer-encoding", "chunked")),
    _extra("te: gzip", ("te", "gzip")),
    _extra("wrong content-length", ("content-length", "99")),
    _without(":method"),
    _without(":scheme"),
    _without(":path"),
    _fields("two :path", (":path", frames.PUSH), *_REQUEST),
    _fields("two :method", (":method", "POST"), *_REQUEST),
    _fields("empty :path", *[(name, "" if name == ":path" else value) for name, value in _REQUEST]),
    _extra("late pseudo-header", (":authority", "other")),
    _fields("unknown pseudo-header", (":odd", "1"), *_REQUEST),
    _fields(":status in a request", (":status", "200"), *_REQUEST),
    Malformed("pseudo-header in trailers", _OPEN + frames.headers(1, [(":path", "/")], True), MALFORMED),
    Malformed("headers within the stream", _OPEN + frames.headers(1, [("x-a", "1")]), MALFORMED),
    Malformed("lower stream number", frames.call(5, frames.HEALTH) + frames.call(3, frames.HEALTH), CONNECTION),
    Malformed("even stream number", frames.call(2, frames.HEALTH), CONNECTION),
    Malformed("DATA on an idle stream", frames.frame(frames.DATA, 0, 9, b"x"), CONNECTION),
    Malformed("DATA after END_STREAM", _CALL + frames.frame(frames.DATA, 0, 1, b"x"), CLOSED),
    Malformed("HEADERS after END_STREAM", _CALL + frames.headers(1, _REQUEST), CLOSED),
    _fields(
        "wrong content type",
        *[(name, "text/html" if name == "content-type" else value) for name, value in _REQUEST],
        expected=(":status 415",),  # gRPC over HTTP/2, Requests
    ),
    _http("absolute garbage", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", expected=("400", "closed")),
    _http("no Host", "POST /v1/push HTTP/1.1\r\nContent-Length: 0\r\n\r\n", expected=("400", "403")),
    _http("two content lengths", HEAD, "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "{}"),
    _http("content-length: -1", HEAD, "Content-Length: -1\r\n\r\n", "{}"),
    _http("both lengths", HEAD, "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"),
    _http("chunk size xyz", HEAD, "Transfer-Encoding: chunked\r\n\r\n", "xyz\r\n"),
    _http("space before the colon", HEAD, "X-A : 1\r\nContent-Length: 2\r\n\r\n{}"),
    _http("NUL in a header", HEAD, "X-A: 1\0002\r\nContent-Length: 2\r\n\r\n{}"),
    _http("garbage deflate", HEAD, "Content-Encoding: deflate\r\nContent-Length: 9\r\n\r\n", b"\xff" * 9),
    _http("garbage gzip", HEAD, "Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n", b"\xff" * 9),
    _http("not JSON", HEAD, "Content-Length: 4\r\n\r\n", b"\xff\xfe{}"),
    _http("deep JSON", HEAD, "Content-Length: 60000\r\n\r\n", "[" * 60000),
    _http("head of 1 MB", HEAD, "X-A: ", "v" * 1_000_000, "\r\n\r\n", expected=("400", "431", "closed")),
]


def answer(case: Malformed, port: int, http_port: int) -> str:
    """What the server answers; "nothing" within the limit."""
    return _http_answer(case, http_port) if case.http else _http2_answer(case, port)


def _http2_answer(case: Malformed, port: int) -> str:
    peer = Peer(port)
    peer.write(case.data, ANSWER_WITHIN)
    last = 3 if case.name == "lower stream number" else 1
    peer.read(ANSWER_WITHIN, lambda: peer.goaway is not None or peer.resets.total() > 0 or last in peer.ended)
    peer.read(0.02)  # a reset beside the answer
    peer.close()
    errors = [f"RST {frames.error_name(code)}" for code in peer.resets if code]
    if peer.goaway is not None or (peer.closed and not errors):
        return peer.connection_state()
    return errors[0] if errors else _status(peer.responses.get(last, {}))


def _status(fields: Mapping[str, str]) -> str:
    if not fields:
        return "nothing"
    status = fields.get(":status")
    return f"grpc-status {fields.get('grpc-status', '-')}" if status == "200" else f":status {status}"


def _http_answer(case: Malformed, port: int) -> str:
    with socket.create_connection((HOST, port), 5) as connection:
        try:
            connection.sendall(case.data)
            if not select_readable(connection, ANSWER_WITHIN):
                return "nothing"
            time.sleep(0.01)
            return status_of(connection.recv(65536))
        except OSError:
            return "closed"
