"""What a client says arrives as it was said, however it was cut; `websockets` builds the frames."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.wire.messages import (
    CloseReceived,
    Event,
    MessageLimits,
    MessageReceived,
    PingReceived,
    PongReceived,
    receive,
)

LIMITS = MessageLimits(70_000, 8)

SMALL = st.one_of(
    st.binary(max_size=300), st.sampled_from([0, 125, 126, 5000, 65535, 65536]).map(lambda size: b"b" * size)
)
TEXTS = st.one_of(st.text("aé€😀\x00", max_size=80), st.sampled_from(["a" * 126, "é€😀" * 2000]))


@st.composite
def sayings(draw) -> tuple[list[Frame], Event]:
    """One thing that a client says, as frames, and what must be read of it."""
    kind = draw(st.sampled_from(["text", "binary", "fragments", "ping", "pong"]))
    if kind == "ping":
        payload = draw(st.binary(max_size=125))
        return [Frame(Opcode.PING, payload)], PingReceived(payload)
    if kind == "pong":
        payload = draw(st.binary(max_size=125))
        return [Frame(Opcode.PONG, payload)], PongReceived(payload)
    text = draw(st.booleans())
    payload = draw(TEXTS).encode() if text else draw(SMALL)
    first = Opcode.TEXT if text else Opcode.BINARY
    places = draw(st.lists(st.integers(0, len(payload)), max_size=5)) if kind == "fragments" else []
    edges = [0, *sorted(places), len(payload)]
    parts = [payload[begin:end] for begin, end in itertools.pairwise(edges)]
    frames = [Frame(Opcode.CONT if at else first, part, fin=at == len(parts) - 1) for at, part in enumerate(parts)]
    return frames, MessageReceived(text, payload)


def read(data: bytes, places: list[int]) -> list[Event]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    events: list[Event] = []
    reader = None
    for begin, end in itertools.pairwise(edges):
        found, reader = receive(data[begin:end], reader, LIMITS)
        events += found
    return events


@given(st.lists(sayings(), max_size=5), st.lists(st.integers(min_value=0), max_size=20), st.booleans())
def test_messages_arrive_as_they_were_said(said, places, bye):
    data = b"".join(frame.serialize(mask=True) for frames, _ in said for frame in frames)
    expected = [event for _, event in said]
    if bye:
        data += Frame(Opcode.CLOSE, Close(4000, "bye").serialize()).serialize(mask=True)
        expected.append(CloseReceived(4000, "bye"))
    assert read(data, places) == expected


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0), max_size=20))
def test_noise_is_read_alike_however_it_is_cut(noise, places):
    assert read(noise, places) == read(noise, [])


@given(st.lists(sayings(), min_size=1, max_size=3), st.data(), st.lists(st.integers(min_value=0), max_size=20))
def test_one_spoilt_byte_is_read_alike_however_it_is_cut(said, data, places):
    good = bytearray(b"".join(frame.serialize(mask=True) for frames, _ in said for frame in frames))
    at = data.draw(st.integers(0, min(len(good) - 1, 40)))
    good[at] ^= data.draw(st.integers(1, 255))
    assert read(bytes(good), places) == read(bytes(good), [])
