"""Whatever a client compresses with, in whatever pieces, arrives; what it spoils ends in a violation and no more."""

import itertools
import zlib

from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.deflate import WINDOW_BITS, CompressionSettings, DeflateFraming, inflate
from gateway.wire.messages import (
    CompressedReceived,
    MessageLimits,
    MessageReceived,
    MessageTooLarge,
    ProtocolViolation,
    receive,
)
from gateway.wire.values import Message
from tests.support.deflated import deflated, inflated
from tests.support.frames import frame

LIMITS = MessageLimits(70_000, 16, inflate=True)
DATA = st.one_of(
    st.binary(max_size=2000),
    st.text("aé€😀 ", max_size=500).map(str.encode),
    st.tuples(st.binary(min_size=1, max_size=50), st.integers(1, 70_000)).map(lambda a: (a[0] * a[1])[: a[1]]),
)
FLUSHES = st.sampled_from([zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK, zlib.Z_PARTIAL_FLUSH])


@st.composite
def payloads(draw) -> tuple[bytes, bytes]:
    """Data, and how some encoder compresses it: any window, level, memory and strategy, with flushes anywhere."""
    data = draw(DATA)
    bits, level, memory = draw(st.sampled_from(WINDOW_BITS)), draw(st.integers(0, 9)), draw(st.integers(1, 9))
    stream = zlib.compressobj(level, zlib.DEFLATED, -bits, memory, draw(st.sampled_from(range(5))))
    places = draw(st.lists(st.tuples(st.integers(0, len(data)), FLUSHES), max_size=4))
    out, at = b"", 0
    for place, flush in sorted(places):
        out += stream.compress(data[at:place]) + stream.flush(flush)
        at = max(at, place)
    return data, (out + stream.compress(data[at:]) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


@given(DATA, st.sampled_from(WINDOW_BITS), st.integers(1, 9), st.booleans())
def test_what_is_sent_is_read_with_the_window_that_was_agreed_on(data, bits, level, text) -> None:
    sent = DeflateFraming(bits, CompressionSettings(threshold=1, level=level)).frame((Message(text, (data,)),))
    size = sent[1]
    payload = sent[2 if size < 126 else 4 if size == 126 else 10 :]
    assert (inflated(payload, bits) if sent[0] & 0x40 else payload) == data
    assert len(payload) <= len(data)


@given(payloads(), st.lists(st.integers(min_value=0), max_size=5), st.lists(st.integers(min_value=0), max_size=10))
def test_a_compressed_message_arrives_however_it_is_cut(compressed, fragments, reads) -> None:
    data, payload = compressed
    edges = [0, *sorted(place % (len(payload) + 1) for place in fragments), len(payload)]
    pieces = [payload[begin:end] for begin, end in itertools.pairwise(edges)]
    last = len(pieces) - 1
    wire = b"".join(frame(one, 0 if at else 2, at == last, 0 if at else 4) for at, one in enumerate(pieces))
    places = sorted({0, len(wire), *(place % len(wire) for place in reads)})
    events, reader = [], None
    for begin, end in itertools.pairwise(places):
        found, reader = receive(wire[begin:end], reader, LIMITS)
        events += found
    assert events == [CompressedReceived(False, payload)]
    assert reader is None
    assert inflate(events[0], LIMITS) == MessageReceived(False, data)


@given(payloads(), st.data(), st.booleans(), st.integers(1, 70_000))
def test_a_spoilt_stream_ends_in_a_violation_or_in_a_message_within_the_limit(compressed, draw, text, limit) -> None:
    payload = bytearray(compressed[1])
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(payload)))
        payload[at : at + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=2))
    answer = inflate(CompressedReceived(text, bytes(payload)), MessageLimits(limit, inflate=True))
    if isinstance(answer, ProtocolViolation):
        assert answer.code in (1007, 1009)
    else:
        assert isinstance(answer, MessageReceived)
        assert len(answer.payload) <= limit


@given(st.binary(max_size=300), st.integers(1, 1000))
def test_noise_is_no_more_than_a_violation(noise, limit) -> None:
    answer = inflate(CompressedReceived(False, noise), MessageLimits(limit, discard=limit, inflate=True))
    assert isinstance(answer, MessageReceived | MessageTooLarge | ProtocolViolation)


@given(DATA, st.integers(1, 70_000))
def test_the_limit_is_one_of_the_inflated_message(data, limit) -> None:
    answer = inflate(CompressedReceived(False, deflated(data)), MessageLimits(limit, inflate=True))
    assert isinstance(answer, MessageReceived) is (len(data) <= limit)
