"""The connection's core: what each frame means, and what ends a stream or the connection."""

from struct import pack

import pytest

from runtime.grpc_wire import frames
from runtime.grpc_wire.connection import ANSWERS, Http2Connection
from runtime.grpc_wire.events import (
    ConnectionFailed,
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    StreamDrained,
    StreamReset,
)
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.frames import frame
from runtime.grpc_wire.headerblocks import encode
from runtime.grpc_wire.status import HEAD, request

REQUEST = request("/x.Y/Z", "host:1")
NO_SETTINGS = frames.settings({})
OPENED = frame(frames.HEADERS, frames.END_HEADERS, 1, encode(REQUEST))


def server(limits: Http2Limits | None = None) -> Http2Connection:
    """A server that has greeted, with stream 1 open."""
    side = Http2Connection(False, limits)
    assert side.receive(frames.PREFACE + NO_SETTINGS + OPENED) == [HeadersReceived(1, REQUEST, False)]
    side.take()
    return side


def client(window: int = 65535) -> Http2Connection:
    side = Http2Connection(True)
    assert side.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: window})) == []
    assert side.open(REQUEST) == 1
    side.take()
    return side


def on_data(data: bytes) -> list[frames.Frame]:
    return frames.FrameReader(1 << 24).read(data)


def ends(side: Http2Connection, data: bytes, code: int) -> None:
    """The bytes are a violation: Failed, and a GOAWAY with the code; nothing is heard any more."""
    events = side.receive(data)
    assert isinstance(events[-1], ConnectionFailed)
    assert events[-1].code == code
    goaway = on_data(side.take())[-1]
    assert frames.read_goaway(goaway)[1] == code
    assert side.receive(frame(frames.PING, 0, 0, b"8 bytes.")) == []


def test_a_client_says_preface_and_settings_first() -> None:
    said = Http2Connection(True).take()
    assert said.startswith(frames.PREFACE)
    first, window = on_data(said[len(frames.PREFACE) :])
    limits = Http2Limits()
    assert dict(frames.read_settings(first)) == {
        frames.INITIAL_WINDOW_SIZE: limits.stream_window,
        frames.MAX_FRAME_SIZE: limits.frame,
        frames.ENABLE_PUSH: 0,
    }
    assert (window.kind, frames.read_word(window)) == (frames.WINDOW_UPDATE, limits.window - 65535)


def test_bytes_one_by_one_are_heard_like_a_whole() -> None:
    side = Http2Connection(False)
    data = frames.PREFACE + NO_SETTINGS + OPENED + frame(frames.DATA, frames.END_STREAM, 1, b"data")
    events = [event for at in range(len(data)) for event in side.receive(data[at : at + 1])]
    assert events == [HeadersReceived(1, REQUEST, False), DataReceived(1, b"data", 4, True)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", frames.PROTOCOL_ERROR),
        (frames.PREFACE + frame(frames.PING, 0, 0, b"8 bytes."), frames.PROTOCOL_ERROR),
        (frames.PREFACE + frames.settings({frames.MAX_FRAME_SIZE: 16383}), frames.PROTOCOL_ERROR),
        (frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 31}), frames.FLOW_CONTROL_ERROR),
        (frames.PREFACE + frames.settings({frames.ENABLE_PUSH: 2}), frames.PROTOCOL_ERROR),
        (frames.PREFACE + frame(frames.SETTINGS, 0, 0, b"12345"), frames.FRAME_SIZE_ERROR),
    ],
)
def test_a_peer_that_greets_wrongly(data: bytes, code: int) -> None:
    ends(Http2Connection(False), data, code)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(frames.SETTINGS, 0, 1), frames.PROTOCOL_ERROR),
        (frame(frames.SETTINGS, frames.ACK, 0, b"123456"), frames.FRAME_SIZE_ERROR),
        (frame(frames.PING, 0, 0, b"seven.."), frames.FRAME_SIZE_ERROR),
        (frame(frames.PING, 0, 1, b"8 bytes."), frames.PROTOCOL_ERROR),
        (frame(frames.DATA, 0, 3, b"x"), frames.PROTOCOL_ERROR),
        (frame(frames.DATA, 0, 0, b"x"), frames.PROTOCOL_ERROR),
        (frame(frames.DATA, frames.PADDED, 1, b"\x05pad"), frames.PROTOCOL_ERROR),
        (frame(frames.DATA, frames.PADDED, 1), frames.FRAME_SIZE_ERROR),
        (frame(frames.HEADERS, frames.END_HEADERS, 2, encode(REQUEST)), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, frames.END_HEADERS, 0, encode(REQUEST)), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, frames.END_HEADERS, 3, b"\xff\xff\xff\xff\xff"), frames.COMPRESSION_ERROR),
        (frame(frames.HEADERS, 0, 3) + frame(frames.PING, 0, 0, b"8 bytes."), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 0, 3) + frame(frames.CONTINUATION, 0, 5, b"x"), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 0, 3) + frame(frames.CONTINUATION, 0, 3), frames.ENHANCE_YOUR_CALM),
        (frame(frames.HEADERS, 0, 3, b"x" * 40_000) + frame(9, 0, 3, b"x" * 40_000), frames.ENHANCE_YOUR_CALM),
        (frame(frames.CONTINUATION, 0, 1, b"x"), frames.PROTOCOL_ERROR),
        (frame(frames.RST_STREAM, 0, 3, b"\0\0\0\0"), frames.PROTOCOL_ERROR),
        (frame(frames.RST_STREAM, 0, 1, b"\0"), frames.FRAME_SIZE_ERROR),
        (frame(frames.PUSH_PROMISE, 0, 1, b"\0\0\0\2"), frames.PROTOCOL_ERROR),
        (frame(frames.GOAWAY, 0, 1, b"12345678"), frames.PROTOCOL_ERROR),
        (frame(frames.GOAWAY, 0, 0, b"1234567"), frames.FRAME_SIZE_ERROR),
        (frames.window_update(0, 0), frames.PROTOCOL_ERROR),
        (frames.window_update(0, 0x7FFFFFFF), frames.FLOW_CONTROL_ERROR),
        (frames.window_update(3, 1), frames.PROTOCOL_ERROR),
        (frames.head(frames.DATA, 0, 1, 1024 * 1024 + 1), frames.FRAME_SIZE_ERROR),
        (frame(frames.PING, 0, 0, b"8 bytes.") * (ANSWERS + 1), frames.ENHANCE_YOUR_CALM),
    ],
)
def test_a_violation_ends_the_connection(data: bytes, code: int) -> None:
    ends(server(), data, code)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frames.window_update(1, 0), frames.PROTOCOL_ERROR),
        (frames.window_update(1, 0x7FFFFFFF), frames.FLOW_CONTROL_ERROR),
        (frame(frames.DATA, frames.END_STREAM, 1) + frame(frames.DATA, 0, 1, b"x"), frames.STREAM_CLOSED),
    ],
)
def test_a_stream_s_own_offence_ends_only_the_stream(data: bytes, code: int) -> None:
    side = server()
    assert side.receive(data)[-1] == StreamReset(1, code)
    assert on_data(side.take())[-1] == (frames.RST_STREAM, 0, 1, pack(">I", code))
    assert side.receive(frame(frames.HEADERS, frames.END_HEADERS, 3, encode(REQUEST))) == [
        HeadersReceived(3, REQUEST, False)
    ]


def test_more_than_the_window_is_refused() -> None:
    side = server(Http2Limits(stream_window=70_000, window=200_000, frame=50_000))
    piece = frame(frames.DATA, 0, 1, b"x" * 50_000)
    assert side.receive(piece) == [DataReceived(1, b"x" * 50_000, 50_000, False)]
    assert side.receive(piece) == [StreamReset(1, frames.FLOW_CONTROL_ERROR)]


def test_credit_is_given_when_data_is_consumed() -> None:
    side = server(Http2Limits(stream_window=70_000, window=1_000_000, frame=50_000))
    side.receive(frame(frames.DATA, 0, 1, b"x" * 50_000))
    assert side.take() == b""
    side.consumed(1, 30_000)
    assert side.take() == b""
    side.consumed(1, 20_000)
    assert on_data(side.take()) == [(frames.WINDOW_UPDATE, 0, 1, pack(">I", 50_000))]


def test_what_is_ignored() -> None:
    side = server()
    assert side.receive(frame(0xBE, 7, 1, b"unknown") + frame(frames.PRIORITY, 0, 1, b"12345")) == []
    padded = frame(frames.DATA, frames.PADDED, 1, b"\x03data\0\0\0")
    assert side.receive(padded) == [DataReceived(1, b"data", 8, False)]
    side.reset(1, frames.CANCEL)
    late = frame(frames.DATA, 0, 1, b"late") + frames.reset(1, 0) + frames.window_update(1, 5)
    assert side.receive(late) == []


def test_headers_in_pieces_with_priority_and_padding() -> None:
    side, block = server(), encode(REQUEST)
    flags = frames.PADDED | frames.PRIORITISED | frames.END_STREAM
    data = frame(frames.HEADERS, flags, 3, b"\x02" + b"prior" + block[:9] + b"\0\0")
    data += frame(frames.CONTINUATION, 0, 3, block[9:20]) + frame(frames.CONTINUATION, 4, 3, block[20:])
    assert side.receive(data) == [HeadersReceived(3, REQUEST, True)]


def test_a_ping_is_answered_and_an_answer_is_not() -> None:
    side = server()
    assert side.receive(frame(frames.PING, 0, 0, b"8 bytes.") + frame(frames.PING, frames.ACK, 0, b"8 bytes.")) == []
    assert on_data(side.take()) == [(frames.PING, frames.ACK, 0, b"8 bytes.")]


def test_a_message_waits_for_credit_and_says_when_it_is_gone() -> None:
    side = client(window=100)
    side.send(1, b"x" * 150)
    assert [len(piece.payload) for piece in on_data(side.take())] == [100]
    assert side.queued(1) == 50
    assert side.receive(frames.window_update(1, 30)) == []
    assert side.receive(frames.window_update(1, 30)) == [StreamDrained(1)]
    assert [len(piece.payload) for piece in on_data(side.take())] == [30, 20]


def test_a_smaller_initial_window_makes_the_stream_s_negative() -> None:
    side = client(window=100)
    side.send(1, b"x" * 150)
    side.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 20}))
    side.take()
    assert side.receive(frames.window_update(1, 80)) == []
    assert side.take() == b""
    side.receive(frames.window_update(1, 10))
    assert [len(piece.payload) for piece in on_data(side.take())] == [10]


def test_data_allowed_by_new_settings_leaves_behind_their_acknowledgement() -> None:
    side = client(window=10)
    side.send(1, b"x" * 15)
    side.take()
    side.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 20}))
    assert [piece.kind for piece in on_data(side.take())] == [frames.SETTINGS, frames.DATA]


def test_settings_that_make_a_stream_s_window_too_large_end_the_connection() -> None:
    side = client(window=100)
    side.receive(frames.window_update(1, 0x7FFFFFFF - 100))
    ends(side, frames.settings({frames.INITIAL_WINDOW_SIZE: 200}), frames.FLOW_CONTROL_ERROR)


def test_a_small_block_that_becomes_large_headers_is_refused() -> None:
    side = server()
    many = b"\x40\x01n\x7f\xa1\x1e" + b"v" * 4000  # one entry for the table: 4,000 bytes
    block = b"\x3f\xe1\x1f" + encode(REQUEST)[1:] + many + b"\xbe" * 30  # and 30 references to it
    ends(side, frame(frames.HEADERS, frames.END_HEADERS, 3, block), frames.ENHANCE_YOUR_CALM)


def test_what_comes_or_goes_on_a_stream_that_has_ended() -> None:
    side = server()
    side.receive(frame(frames.DATA, frames.END_STREAM, 1))
    assert side.receive(frame(frames.HEADERS, frames.END_HEADERS, 1, encode(HEAD))) == [
        StreamReset(1, frames.STREAM_CLOSED)
    ]
    side.take()
    side.end(1)
    side.headers(1, HEAD)
    side.reset(1, frames.CANCEL)
    assert side.take() == b""


def test_the_end_waits_behind_what_is_queued() -> None:
    side = client(window=10)
    side.send(1, b"x" * 15)
    side.end(1)
    side.send(1, b"too late")
    assert [piece.flags for piece in on_data(side.take())] == [0]
    side.receive(frames.window_update(1, 10))
    assert [(len(piece.payload), piece.flags) for piece in on_data(side.take())] == [(5, 0), (0, frames.END_STREAM)]


def test_a_server_that_has_said_all_does_not_listen_on() -> None:
    side = server()
    side.end(1, HEAD)
    assert [piece.kind for piece in on_data(side.take())] == [frames.HEADERS, frames.RST_STREAM]
    assert side.receive(frame(frames.DATA, 0, 1, b"late")) == []


def test_a_peer_that_resets_or_goes_away_is_heard() -> None:
    side = client()
    assert side.receive(frames.goaway(1, 0, b"bye")) == [GoAwayReceived(1, 0, b"bye")]
    assert side.receive(frames.reset(1, frames.CANCEL)) == [StreamReset(1, frames.CANCEL)]
    side.send(1, b"nobody hears it")
    assert side.take() == b""


def test_who_leaves_takes_no_new_streams() -> None:
    side = server()
    side.leave()
    assert frames.read_goaway(on_data(side.take())[0]) == (1, frames.NO_ERROR, b"")
    assert side.receive(frame(frames.HEADERS, frames.END_HEADERS, 3, encode(REQUEST))) == []
    assert on_data(side.take()) == [(frames.RST_STREAM, 0, 3, pack(">I", frames.REFUSED_STREAM))]
    assert side.receive(frame(frames.DATA, 0, 1, b"on")) == [DataReceived(1, b"on", 2, False)]


def test_streams_above_the_limit_are_refused() -> None:
    side = server(Http2Limits(streams=1))
    assert side.receive(frame(frames.HEADERS, frames.END_HEADERS, 3, encode(REQUEST))) == []
    assert on_data(side.take()) == [(frames.RST_STREAM, 0, 3, pack(">I", frames.REFUSED_STREAM))]


def test_a_client_that_only_opens_and_resets_is_cut_off() -> None:
    side = Http2Connection(False, Http2Limits(resets=2))
    side.receive(frames.PREFACE + NO_SETTINGS)
    for stream in (1, 3):
        opened = frame(frames.HEADERS, frames.END_HEADERS, stream, encode(REQUEST))
        assert side.receive(opened + frames.reset(stream, frames.CANCEL))[-1] == StreamReset(stream, frames.CANCEL)
    opened = frame(frames.HEADERS, frames.END_HEADERS, 5, encode(REQUEST))
    ends(side, opened + frames.reset(5, frames.CANCEL), frames.ENHANCE_YOUR_CALM)


def test_streams_that_may_finish_make_up_for_those_that_are_reset() -> None:
    side = Http2Connection(False, Http2Limits(resets=1))
    side.receive(frames.PREFACE + NO_SETTINGS)
    for stream in range(1, 41, 4):
        for one, last in ((stream, False), (stream + 2, True)):
            side.receive(frame(frames.HEADERS, frames.END_HEADERS, one, encode(REQUEST)))
            if last:
                side.end(one, HEAD)
            else:
                assert side.receive(frames.reset(one, frames.CANCEL)) == [StreamReset(one, frames.CANCEL)]


def test_a_ping_of_ours_asks_whether_anybody_is_there() -> None:
    side = client()
    side.ping()
    (asked,) = on_data(side.take())
    assert (asked.kind, asked.flags, asked.stream, len(asked.payload)) == (frames.PING, 0, 0, 8)
    assert side.receive(frame(frames.PING, frames.ACK, 0, asked.payload)) == []
    assert side.take() == b""  # an answer wants none
