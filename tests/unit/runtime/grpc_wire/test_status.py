"""What opens and what ends a stream, as headers; messages that are not taken."""

import pytest
from hpack import Decoder

from runtime.grpc_wire import frames
from runtime.grpc_wire.headerblocks import encode
from runtime.grpc_wire.messages import LARGEST, GrpcMessageReader
from runtime.grpc_wire.status import (
    DEADLINE_EXCEEDED,
    HEAD,
    INTERNAL,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
    StreamEnded,
    judge_head,
    judge_request,
    judge_reset,
    judge_trailers,
    request,
    trailers,
)

PATHS = {b"/x.Y/Z"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"5S", 5), (b"100m", 0.1), (b"2H", 7200), (b"3M", 180), (b"7u", 7e-6), (b"99999999n", 0.099999999)],
)
def test_a_deadline_is_read(value: bytes, seconds: float) -> None:
    assert judge_request([*request("/x.Y/Z", "h"), (b"grpc-timeout", value)], PATHS) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"S", b"5", b"5x", b"-1S", b"123456789S"])
def test_a_deadline_that_cannot_be_read(value: bytes) -> None:
    with pytest.raises(StreamEnded) as refused:
        judge_request([*request("/x.Y/Z", "h"), (b"grpc-timeout", value)], PATHS)
    assert refused.value.status == INTERNAL


def test_who_is_served() -> None:
    assert judge_request(request("/x.Y/Z", "h"), PATHS) is None
    with pytest.raises(StreamEnded, match="no such method") as refused:
        judge_request(request("/x.Y/Other", "h"), PATHS)
    assert refused.value.status == UNIMPLEMENTED
    with pytest.raises(StreamEnded, match="not gRPC"):
        judge_request([(b":method", b"GET"), (b":path", b"/x.Y/Z")], PATHS)


@pytest.mark.parametrize("why", ["", "plain", "per % cent", "zwei\nZeilen, \u00fcber alles"])
def test_a_status_survives_its_headers(why: str) -> None:
    how = judge_trailers(trailers(DEADLINE_EXCEEDED, why))
    assert (how.status, how.args) == (DEADLINE_EXCEEDED, (why,))


def test_heads_and_trailers_that_are_not_grpc() -> None:
    assert judge_head(HEAD) is None
    how = judge_head([(b":status", b"503")])
    assert how is not None
    assert how.status == UNAVAILABLE
    strange = judge_head([(b":status", b"200"), (b"content-type", b"text/html")])
    assert strange is not None
    assert strange.status == UNKNOWN
    assert judge_trailers([(b":status", b"404")]).status == UNIMPLEMENTED
    assert judge_trailers(HEAD).status == UNKNOWN
    assert judge_trailers([(b"grpc-status", b"x")]).status == UNKNOWN
    assert str(judge_trailers([(b"grpc-status", b"99")])) == "status 99: "


def test_what_a_reset_means() -> None:
    assert judge_reset(frames.REFUSED_STREAM).status == UNAVAILABLE
    assert judge_reset(frames.PROTOCOL_ERROR).status == INTERNAL


def test_messages_that_are_not_taken() -> None:
    with pytest.raises(StreamEnded) as large:
        GrpcMessageReader().read(b"\0" + (LARGEST + 1).to_bytes(4, "big"))
    assert large.value.status == RESOURCE_EXHAUSTED
    with pytest.raises(StreamEnded) as compressed:
        GrpcMessageReader().read(b"\1\0\0\0\0")
    assert compressed.value.status == UNIMPLEMENTED


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 300, 20_000])
def test_header_blocks_are_read_by_a_decoder_that_allows_no_table(size: int) -> None:
    decoder = Decoder()
    decoder.max_allowed_table_size = 0
    headers = [(b"name", b"v" * size)]
    assert list(decoder.decode(encode(headers), raw=True)) == headers
