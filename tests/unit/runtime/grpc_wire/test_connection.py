"""The HTTP/2 core: what each frame means, and which errors end a stream or the connection."""

from struct import pack

import pytest

from runtime.grpc_wire import frames
from runtime.grpc_wire.connection import Http2Connection
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
from runtime.grpc_wire.header_blocks import encode_headers
from runtime.grpc_wire.sending_side import MAX_REPLIES
from runtime.grpc_wire.status import RESPONSE_HEADERS, request_headers

REQUEST = request_headers("/x.Y/Z", "host:1")
NO_SETTINGS = frames.settings({})
OPENED = frame(frames.HEADERS, frames.END_HEADERS, 1, encode_headers(REQUEST))


def server(limits: Http2Limits | None = None) -> Http2Connection:
    """A server that has the client's preface and SETTINGS, with stream 1 open."""
    side = Http2Connection(False, limits)
    assert side.receive_data(frames.PREFACE + NO_SETTINGS + OPENED) == [HeadersReceived(1, REQUEST, False)]
    side.data_to_send()
    return side


def client(window: int = 65535) -> Http2Connection:
    side = Http2Connection(True)
    assert side.receive_data(frames.settings({frames.INITIAL_WINDOW_SIZE: window})) == []
    assert side.open_stream(REQUEST) == 1
    side.data_to_send()
    return side


def frames_of(data: bytes) -> list[frames.Frame]:
    reader = frames.FrameReader(1 << 24)
    reader.feed(data)
    return list(iter(reader.next_frame, None))


def check_connection_error(side: Http2Connection, data: bytes, code: int) -> None:
    """The bytes are a connection error: ConnectionFailed, a GOAWAY with the code, and no event after."""
    events = side.receive_data(data)
    assert isinstance(events[-1], ConnectionFailed)
    assert events[-1].code == code
    goaway = frames_of(side.data_to_send())[-1]
    assert frames.read_goaway(goaway)[1] == code
    assert side.receive_data(frame(frames.PING, 0, 0, b"8 bytes.")) == []


def test_a_client_sends_preface_and_settings_first() -> None:
    sent = Http2Connection(True).data_to_send()
    assert sent.startswith(frames.PREFACE)
    first, window = frames_of(sent[len(frames.PREFACE) :])
    limits = Http2Limits()
    assert dict(frames.read_settings(first)) == {
        frames.INITIAL_WINDOW_SIZE: limits.stream_window,
        frames.MAX_FRAME_SIZE: limits.max_frame_size,
        frames.ENABLE_PUSH: 0,
        frames.MAX_HEADER_LIST_SIZE: limits.max_header_list,
    }
    assert (window.type, frames.read_increment(window)) == (frames.WINDOW_UPDATE, limits.connection_window - 65535)


def test_bytes_one_by_one_make_the_same_events() -> None:
    side = Http2Connection(False)
    data = frames.PREFACE + NO_SETTINGS + OPENED + frame(frames.DATA, frames.END_STREAM, 1, b"data")
    events = [event for at in range(len(data)) for event in side.receive_data(data[at : at + 1])]
    assert events == [HeadersReceived(1, REQUEST, False), DataReceived(1, b"data", True)]


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
def test_a_wrong_preface_or_wrong_settings(data: bytes, code: int) -> None:
    check_connection_error(Http2Connection(False), data, code)


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
        (frame(frames.HEADERS, frames.END_HEADERS, 2, encode_headers(REQUEST)), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, frames.END_HEADERS, 0, encode_headers(REQUEST)), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, frames.END_HEADERS, 3, b"\xff\xff\xff\xff\xff"), frames.COMPRESSION_ERROR),
        (frame(frames.HEADERS, frames.END_HEADERS, 3, b"\x3f\xe1\x1f\x20\x20"), frames.COMPRESSION_ERROR),
        (frame(frames.HEADERS, 0, 3) + frame(frames.PING, 0, 0, b"8 bytes."), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 0, 3) + frame(frames.CONTINUATION, 0, 5, b"x"), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 0, 3) + frame(frames.CONTINUATION, 0, 3), frames.ENHANCE_YOUR_CALM),
        (frame(frames.HEADERS, 0, 3, b"x" * 200_000) + frame(9, 0, 3, b"x" * 200_000), frames.ENHANCE_YOUR_CALM),
        (frame(frames.CONTINUATION, 0, 1, b"x"), frames.PROTOCOL_ERROR),
        (frame(frames.RST_STREAM, 0, 3, b"\0\0\0\0"), frames.PROTOCOL_ERROR),
        (frame(frames.RST_STREAM, 0, 1, b"\0"), frames.FRAME_SIZE_ERROR),
        (frame(frames.WINDOW_UPDATE, 0, 1, b"\0"), frames.FRAME_SIZE_ERROR),
        (frame(frames.PUSH_PROMISE, 0, 1, b"\0\0\0\2"), frames.PROTOCOL_ERROR),
        (frame(frames.GOAWAY, 0, 1, b"12345678"), frames.PROTOCOL_ERROR),
        (frame(frames.GOAWAY, 0, 0, b"1234567"), frames.FRAME_SIZE_ERROR),
        (frames.window_update(0, 0), frames.PROTOCOL_ERROR),
        (frames.window_update(0, 0x7FFFFFFF), frames.FLOW_CONTROL_ERROR),
        (frames.window_update(3, 1), frames.PROTOCOL_ERROR),
        (frames.frame_header(frames.DATA, 0, 1, 1024 * 1024 + 1), frames.FRAME_SIZE_ERROR),
        (frame(frames.PRIORITY, 0, 0, b"12345"), frames.PROTOCOL_ERROR),
        (frame(frames.PRIORITY, 0, 1, b"1234"), frames.FRAME_SIZE_ERROR),
        (frame(frames.PRIORITY, 0, 1, pack(">IB", 1, 0)), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 0x24, 3, pack(">IB", 3, 0)), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 0x2C, 3, b"\0" + pack(">IB", 3, 0)), frames.PROTOCOL_ERROR),
        (frame(frames.SETTINGS, 0, 0, b"\0\4\0\0\0\1" * 33), frames.ENHANCE_YOUR_CALM),
        (frame(frames.PING, 0, 0, b"8 bytes.") * (MAX_REPLIES + 1), frames.ENHANCE_YOUR_CALM),
    ],
)
def test_a_connection_error(data: bytes, code: int) -> None:
    check_connection_error(server(), data, code)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frames.window_update(1, 0), frames.PROTOCOL_ERROR),
        (frames.window_update(1, 0x7FFFFFFF), frames.FLOW_CONTROL_ERROR),
        (frame(frames.DATA, frames.END_STREAM, 1) + frame(frames.DATA, 0, 1, b"x"), frames.STREAM_CLOSED),
    ],
)
def test_a_stream_error_ends_only_the_stream(data: bytes, code: int) -> None:
    side = server()
    assert side.receive_data(data)[-1] == StreamReset(1, code)
    assert frames_of(side.data_to_send())[-1] == (frames.RST_STREAM, 0, 1, pack(">I", code))
    assert side.receive_data(frame(frames.HEADERS, frames.END_HEADERS, 3, encode_headers(REQUEST))) == [
        HeadersReceived(3, REQUEST, False)
    ]


def test_more_than_the_window_is_refused() -> None:
    side = server(Http2Limits(stream_window=70_000, max_frame_size=50_000))
    piece = frame(frames.DATA, 0, 1, b"x" * 50_000)
    assert side.receive_data(piece) == [DataReceived(1, b"x" * 50_000, False)]
    assert side.receive_data(piece) == [StreamReset(1, frames.FLOW_CONTROL_ERROR)]


def test_the_window_is_raised_when_data_is_consumed() -> None:
    side = server(Http2Limits(stream_window=70_000, max_frame_size=50_000))
    side.receive_data(frame(frames.DATA, 0, 1, b"x" * 50_000))
    assert side.data_to_send() == b""
    side.handle_data(1, 30_000)
    assert side.data_to_send() == b""
    side.handle_data(1, 20_000)
    assert frames_of(side.data_to_send()) == [(frames.WINDOW_UPDATE, 0, 1, pack(">I", 50_000))]


def test_what_is_ignored() -> None:
    side = server()
    assert side.receive_data(frame(0xBE, 7, 1, b"unknown") + frame(frames.PRIORITY, 0, 1, b"12345")) == []
    padded = frame(frames.DATA, frames.PADDED, 1, b"\x03data\0\0\0")
    assert side.receive_data(padded) == [DataReceived(1, b"data", False)]
    side.reset_stream(1, frames.CANCEL)
    late = frame(frames.DATA, 0, 1, b"late") + frames.rst_stream(1, 0) + frames.window_update(1, 5)
    assert side.receive_data(late) == []


def test_headers_in_pieces_with_priority_and_padding() -> None:
    side, block = server(), encode_headers(REQUEST)
    flags = frames.PADDED | frames.PRIORITY_FLAG | frames.END_STREAM
    data = frame(frames.HEADERS, flags, 3, b"\x02" + b"prior" + block[:9] + b"\0\0")
    data += frame(frames.CONTINUATION, 0, 3, block[9:20]) + frame(frames.CONTINUATION, 4, 3, block[20:])
    assert side.receive_data(data) == [HeadersReceived(3, REQUEST, True)]


def test_a_ping_is_answered_and_an_answer_is_not() -> None:
    side = server()
    assert (
        side.receive_data(frame(frames.PING, 0, 0, b"8 bytes.") + frame(frames.PING, frames.ACK, 0, b"8 bytes.")) == []
    )
    assert frames_of(side.data_to_send()) == [(frames.PING, frames.ACK, 0, b"8 bytes.")]


def test_data_waits_for_the_window_and_an_event_follows_when_all_is_sent() -> None:
    side = client(window=100)
    side.send_data(1, b"x" * 150)
    assert [len(piece.payload) for piece in frames_of(side.data_to_send())] == [100]
    assert side.queued(1) == 50
    assert side.receive_data(frames.window_update(1, 30)) == []
    assert side.receive_data(frames.window_update(1, 30)) == [StreamDrained(1)]
    assert [len(piece.payload) for piece in frames_of(side.data_to_send())] == [30, 20]


def test_a_smaller_initial_window_makes_the_stream_s_negative() -> None:
    side = client(window=100)
    side.send_data(1, b"x" * 150)
    side.receive_data(frames.settings({frames.INITIAL_WINDOW_SIZE: 20}))
    side.data_to_send()
    assert side.receive_data(frames.window_update(1, 80)) == []
    assert side.data_to_send() == b""
    side.receive_data(frames.window_update(1, 10))
    assert [len(piece.payload) for piece in frames_of(side.data_to_send())] == [10]


def test_data_allowed_by_new_settings_leaves_behind_their_acknowledgement() -> None:
    side = client(window=10)
    side.send_data(1, b"x" * 15)
    side.data_to_send()
    side.receive_data(frames.settings({frames.INITIAL_WINDOW_SIZE: 20}))
    assert [piece.type for piece in frames_of(side.data_to_send())] == [frames.SETTINGS, frames.DATA]


def test_settings_that_make_a_stream_s_window_too_large_end_the_connection() -> None:
    side = client(window=100)
    side.receive_data(frames.window_update(1, 0x7FFFFFFF - 100))
    check_connection_error(side, frames.settings({frames.INITIAL_WINDOW_SIZE: 200}), frames.FLOW_CONTROL_ERROR)


def test_a_small_block_that_becomes_large_headers_is_refused() -> None:
    side = server()
    many = b"\x40\x01n\x7f\xa1\x1e" + b"v" * 4000  # one entry for the table: 4,000 bytes
    block = b"\x3f\xe1\x1f" + encode_headers(REQUEST)[1:] + many + b"\xbe" * 70  # and 70 references to it
    check_connection_error(side, frame(frames.HEADERS, frames.END_HEADERS, 3, block), frames.ENHANCE_YOUR_CALM)


def test_what_comes_or_goes_on_a_stream_that_has_ended() -> None:
    side = server()
    side.receive_data(frame(frames.DATA, frames.END_STREAM, 1))
    assert side.receive_data(frame(frames.HEADERS, frames.END_HEADERS, 1, encode_headers(RESPONSE_HEADERS))) == [
        StreamReset(1, frames.STREAM_CLOSED)
    ]
    side.data_to_send()
    side.end_stream(1)
    side.send_headers(1, RESPONSE_HEADERS)
    side.reset_stream(1, frames.CANCEL)
    assert side.data_to_send() == b""


def test_the_end_waits_behind_what_is_queued() -> None:
    side = client(window=10)
    side.send_data(1, b"x" * 15)
    side.end_stream(1)
    side.send_data(1, b"too late")
    assert [piece.flags for piece in frames_of(side.data_to_send())] == [0]
    side.receive_data(frames.window_update(1, 10))
    assert [(len(piece.payload), piece.flags) for piece in frames_of(side.data_to_send())] == [
        (5, 0),
        (0, frames.END_STREAM),
    ]


def test_a_server_that_has_answered_reads_no_more() -> None:
    side = server()
    side.end_stream(1, RESPONSE_HEADERS)
    assert [piece.type for piece in frames_of(side.data_to_send())] == [frames.HEADERS, frames.RST_STREAM]
    assert side.receive_data(frame(frames.DATA, 0, 1, b"late")) == []


def test_goaway_and_rst_stream_are_events() -> None:
    side = client()
    assert side.receive_data(frames.goaway(1, 0, b"bye")) == [GoAwayReceived(1, 0, b"bye")]
    assert side.receive_data(frames.rst_stream(1, frames.CANCEL)) == [StreamReset(1, frames.CANCEL)]
    side.send_data(1, b"on a closed stream")
    assert side.data_to_send() == b""


def test_after_goaway_no_new_streams_are_accepted() -> None:
    side = server()
    side.go_away()
    side.go_away()  # no second GOAWAY
    (goaway,) = frames_of(side.data_to_send())
    assert frames.read_goaway(goaway) == (1, frames.NO_ERROR, b"")
    assert side.receive_data(frame(frames.HEADERS, frames.END_HEADERS, 3, encode_headers(REQUEST))) == []
    assert frames_of(side.data_to_send()) == [(frames.RST_STREAM, 0, 3, pack(">I", frames.REFUSED_STREAM))]
    assert side.receive_data(frame(frames.DATA, 0, 1, b"on")) == [DataReceived(1, b"on", False)]


def test_streams_above_the_limit_are_refused() -> None:
    side = server(Http2Limits(max_concurrent_streams=1))
    assert side.receive_data(frame(frames.HEADERS, frames.END_HEADERS, 3, encode_headers(REQUEST))) == []
    assert frames_of(side.data_to_send()) == [(frames.RST_STREAM, 0, 3, pack(">I", frames.REFUSED_STREAM))]


def test_a_client_that_only_opens_and_resets_streams_is_refused() -> None:
    side = Http2Connection(False, Http2Limits(glitches=20))
    side.receive_data(frames.PREFACE + NO_SETTINGS)
    for stream in (1, 3):
        opened = frame(frames.HEADERS, frames.END_HEADERS, stream, encode_headers(REQUEST))
        assert side.receive_data(opened + frames.rst_stream(stream, frames.CANCEL))[-1] == StreamReset(
            stream, frames.CANCEL
        )
    opened = frame(frames.HEADERS, frames.END_HEADERS, 5, encode_headers(REQUEST))
    check_connection_error(side, opened + frames.rst_stream(5, frames.CANCEL), frames.ENHANCE_YOUR_CALM)


def test_streams_that_finish_raise_the_number_of_allowed_resets() -> None:
    side = Http2Connection(False, Http2Limits(glitches=10))
    side.receive_data(frames.PREFACE + NO_SETTINGS)
    for stream in range(1, 41, 4):
        for one, last in ((stream, False), (stream + 2, True)):
            side.receive_data(frame(frames.HEADERS, frames.END_HEADERS, one, encode_headers(REQUEST)))
            if last:
                side.end_stream(one, RESPONSE_HEADERS)
            else:
                assert side.receive_data(frames.rst_stream(one, frames.CANCEL)) == [StreamReset(one, frames.CANCEL)]


def test_a_ping_is_sent_and_its_acknowledgement_is_no_event() -> None:
    side = client()
    side.ping()
    (sent,) = frames_of(side.data_to_send())
    assert (sent.type, sent.flags, sent.stream, len(sent.payload)) == (frames.PING, 0, 0, 8)
    assert side.receive_data(frame(frames.PING, frames.ACK, 0, sent.payload)) == []
    assert side.data_to_send() == b""  # an acknowledgement is not acknowledged
