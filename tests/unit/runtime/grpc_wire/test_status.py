"""Requests and statuses as headers; messages that are not accepted."""

import gzip

import pytest
from hpack import Decoder

from runtime.grpc_wire import frames
from runtime.grpc_wire.header_blocks import encode_headers
from runtime.grpc_wire.messages import MAX_MESSAGE_SIZE, GrpcMessageReader
from runtime.grpc_wire.status import (
    DEADLINE_EXCEEDED,
    INTERNAL,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    RESPONSE_HEADERS,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
    StreamEnded,
    check_grpc,
    check_request,
    request_headers,
    status_from_headers,
    status_from_reset,
    status_from_trailers,
    trailers,
)

PATHS = {b"/x.Y/Z"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"5S", 5), (b"100m", 0.1), (b"2H", 7200), (b"3M", 180), (b"7u", 7e-6), (b"99999999n", 0.099999999)],
)
def test_a_deadline_is_read(value: bytes, seconds: float) -> None:
    assert check_request([*request_headers("/x.Y/Z", "h"), (b"grpc-timeout", value)], PATHS) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"S", b"5", b"5x", b"-1S", b"123456789S"])
def test_a_deadline_that_cannot_be_read(value: bytes) -> None:
    with pytest.raises(StreamEnded) as refused:
        check_request([*request_headers("/x.Y/Z", "h"), (b"grpc-timeout", value)], PATHS)
    assert refused.value.status == INTERNAL


def test_requests_that_are_served() -> None:
    assert check_request(request_headers("/x.Y/Z", "h"), PATHS) is None
    with pytest.raises(StreamEnded, match="no such method") as refused:
        check_request(request_headers("/x.Y/Other", "h"), PATHS)
    assert refused.value.status == UNIMPLEMENTED


@pytest.mark.parametrize(
    ("method", "content_type", "status"),
    [
        (b"POST", b"application/grpc", None),
        (b"POST", b"application/grpc+proto", None),
        (b"POST", b"application/grpc;charset=x", None),
        (b"POST", b"application/grpc-web", 415),
        (b"POST", b"application/json", 415),
        (b"GET", b"application/grpc", 405),
    ],
)
def test_what_is_not_grpc_is_answered_as_http(method: bytes, content_type: bytes, status: int | None) -> None:
    assert check_grpc([(b":method", method), (b"content-type", content_type)]) == status


def test_a_long_status_is_cut() -> None:
    how = status_from_trailers(trailers(NOT_FOUND, "%" * 6_000_000))
    assert how.message == "%" * 1024 + "..."


@pytest.mark.parametrize("message", ["", "plain", "per % cent", "zwei\nZeilen, \u00fcber alles"])
def test_a_status_survives_its_headers(message: str) -> None:
    how = status_from_trailers(trailers(DEADLINE_EXCEEDED, message))
    assert (how.status, how.message) == (DEADLINE_EXCEEDED, message)


def test_heads_and_trailers_that_are_not_grpc() -> None:
    assert status_from_headers(RESPONSE_HEADERS) is None
    how = status_from_headers([(b":status", b"503")])
    assert how is not None
    assert how.status == UNAVAILABLE
    strange = status_from_headers([(b":status", b"200"), (b"content-type", b"text/html")])
    assert strange is not None
    assert strange.status == UNKNOWN
    assert status_from_trailers([(b":status", b"404")]).status == UNIMPLEMENTED
    assert status_from_trailers(RESPONSE_HEADERS).status == UNKNOWN
    assert status_from_trailers([(b"grpc-status", b"x")]).status == UNKNOWN
    assert str(status_from_trailers([(b"grpc-status", b"99")])) == "status 99: "


def test_what_a_reset_means() -> None:
    assert status_from_reset(frames.REFUSED_STREAM).status == UNAVAILABLE
    assert status_from_reset(frames.PROTOCOL_ERROR).status == INTERNAL


def read(data: bytes, **options) -> bytes | None:
    reader = GrpcMessageReader(**options)
    reader.feed(data)
    return reader.next_message()


def flagged(message: bytes) -> bytes:
    return b"\1" + len(message).to_bytes(4, "big") + message


@pytest.mark.parametrize(
    ("data", "options", "status"),
    [
        (b"\0" + (MAX_MESSAGE_SIZE + 1).to_bytes(4, "big"), {}, RESOURCE_EXHAUSTED),
        (flagged(b""), {}, INTERNAL),
        (flagged(b"?"), {"encoding": b"snappy"}, UNIMPLEMENTED),
        (flagged(b"no gzip"), {"encoding": b"gzip"}, INTERNAL),
        (flagged(gzip.compress(b"x" * 100, mtime=0)[:-1]), {"encoding": b"gzip"}, INTERNAL),
        (flagged(gzip.compress(b"x" * 100, mtime=0) + b"x"), {"encoding": b"gzip"}, INTERNAL),
        (
            flagged(gzip.compress(bytes(10_000_000), mtime=0)),
            {"encoding": b"gzip", "max_size": 100_000},
            RESOURCE_EXHAUSTED,
        ),
    ],
    ids=["large", "no encoding", "another encoding", "no gzip", "cut off", "more behind", "a bomb"],
)
def test_messages_that_are_not_accepted(data: bytes, options: dict, status: int) -> None:
    with pytest.raises(StreamEnded) as ended:
        read(data, **options)
    assert ended.value.status == status


def test_a_message_may_be_gzip() -> None:
    assert read(flagged(gzip.compress(b"x" * 1000, mtime=0)), encoding=b"gzip", max_size=1000) == b"x" * 1000


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 300, 20_000])
def test_header_blocks_are_read_by_a_decoder_that_allows_no_table(size: int) -> None:
    decoder = Decoder()
    decoder.max_allowed_table_size = 0
    headers = [(b"name", b"v" * size)]
    assert list(decoder.decode(encode_headers(headers), raw=True)) == headers
