"""What a hostile peer can make a connection do, keep and send (issue 10, D): each has a bound."""

from collections.abc import Iterator
from struct import pack

import pytest

from runtime.grpc_wire import connection, frames, glitches, sending_side
from runtime.grpc_wire.connection import Http2Connection
from runtime.grpc_wire.events import ConnectionFailed, DataReceived, HeadersReceived, HeadersRefused, StreamReset
from runtime.grpc_wire.flow import Http2Limits, Reservations
from runtime.grpc_wire.frames import frame
from runtime.grpc_wire.header_blocks import HeaderFields, encode_headers
from runtime.grpc_wire.status import request_headers
from tests.unit.runtime.grpc_wire.test_connection import NO_SETTINGS, REQUEST, check_connection_error, frames_of, server

WINDOW = 70_000
SMALL = Http2Limits(stream_window=WINDOW, unfinished=100_000, max_concurrent_streams=3, glitches=40)


def opened(stream: int, fields: HeaderFields = REQUEST, flags: int = 0) -> bytes:
    return frame(frames.HEADERS, frames.END_HEADERS | flags, stream, encode_headers(fields))


def with_streams(count: int, limits: Http2Limits | None = None) -> Http2Connection:
    """A server with streams 1, 3, ... open."""
    side = Http2Connection(False, limits or Http2Limits(max_concurrent_streams=count))
    side.receive_data(frames.PREFACE + NO_SETTINGS)
    for stream in range(1, 2 * count, 2):
        side.receive_data(opened(stream))
    side.data_to_send()
    return side


def answers(side: Http2Connection) -> Iterator[tuple[int, int, int]]:
    for answer in frames_of(side.data_to_send()):
        yield answer.type, answer.stream, len(answer.payload)


# Work


def test_a_turn_ends_and_the_next_goes_on() -> None:
    side = server()
    count = connection.WORK_PER_CALL + 100
    data = b"".join(frame(frames.DATA, 0, 1, b"%020d" % number) for number in range(count))
    events = side.receive_data(data)
    assert side.has_unprocessed
    assert len(events) == connection.WORK_PER_CALL + 1
    events += side.receive_data(frame(frames.DATA, 0, 1, b"the last") + b"")
    assert not side.has_unprocessed
    assert [event.data for event in events] == [b"%020d" % number for number in range(count)] + [b"the last"]


def test_requests_are_more_work_than_other_frames() -> None:
    side = Http2Connection(False, Http2Limits(max_concurrent_streams=1000))
    side.receive_data(frames.PREFACE + NO_SETTINGS)
    events = side.receive_data(b"".join(opened(stream) for stream in range(1, 400, 2)))
    assert len(events) < connection.WORK_PER_CALL / connection.HEADERS_WORK + 1
    assert side.has_unprocessed


def test_windows_byte_by_byte_send_one_frame_a_turn() -> None:
    side = with_streams(100)
    for stream in range(1, 200, 2):
        side.send_data(stream, b"x" * 65535)  # the first takes the connection's window
    side.data_to_send()
    side.receive_data(frames.window_update(0, 1) * 500)
    assert [size for kind, _, size in answers(side) if kind == frames.DATA] == [500]


def test_streams_take_turns_when_the_connection_s_window_grows() -> None:
    side = with_streams(3)
    for stream in (1, 3, 5):
        side.send_data(stream, b"x" * 65535)
    side.data_to_send()
    side.receive_data(frames.window_update(0, 3 * 16384))
    assert [(stream, size) for kind, stream, size in answers(side) if kind == frames.DATA] == [
        (3, 16384),
        (5, 16384),
        (3, 16384),
    ]


def test_what_a_reset_stream_had_queued_is_forgotten() -> None:
    side = with_streams(2)
    side.send_data(1, b"x" * 65535)
    side.send_data(3, b"y" * 10)
    side.receive_data(frames.rst_stream(3, frames.CANCEL))
    side.data_to_send()
    side.receive_data(frames.window_update(0, 10))
    assert list(answers(side)) == []


# Frames that ask for nothing


@pytest.mark.parametrize(
    ("data", "cost"),
    [
        (frame(frames.PING, frames.ACK, 0, b"8 bytes."), glitches.FRAME),
        (frame(frames.SETTINGS, frames.ACK, 0), glitches.FRAME),
        (frame(frames.PRIORITY, 0, 1, b"12345"), glitches.FRAME),
        (frame(0xBE, 0, 0, b"unknown"), glitches.FRAME),
        (frames.goaway(0, 0), glitches.FRAME),
        (frame(frames.DATA, 0, 1), glitches.FRAME),
        (frame(frames.DATA, 0, 1, b"x"), glitches.FRAME),
        (frames.window_update(0, 1), glitches.FRAME),
        (NO_SETTINGS, glitches.RESET),
    ],
)
def test_useless_frames_end_the_connection(data: bytes, cost: int) -> None:
    side = server(SMALL)
    allowed = SMALL.glitches // cost
    assert not any(isinstance(event, ConnectionFailed) for event in side.receive_data(data * allowed))
    side.data_to_send()
    check_connection_error(side, data, frames.ENHANCE_YOUR_CALM)


def test_time_and_data_that_is_sent_allow_more() -> None:
    side = server(SMALL)
    ping = frame(frames.PING, 0, 0, b"8 bytes.")
    side.receive_data(ping * SMALL.glitches)
    side.on_second()
    assert side.receive_data(ping * SMALL.glitches) == []
    side.send_data(1, b"useful")
    assert side.receive_data(ping * glitches.WINDOW_UPDATES) == []
    check_connection_error(side, ping, frames.ENHANCE_YOUR_CALM)


def test_resets_that_the_server_is_made_to_send_are_counted() -> None:
    side = Http2Connection(False, SMALL)
    side.receive_data(frames.PREFACE + NO_SETTINGS)
    for stream in (1, 3, 5):
        events = side.receive_data(opened(stream) + frames.window_update(stream, 0))
        assert events[-1] == StreamReset(stream, frames.PROTOCOL_ERROR)
    check_connection_error(side, opened(7) + frames.window_update(7, 0), frames.ENHANCE_YOUR_CALM)


def test_streams_that_are_refused_are_counted() -> None:
    side = with_streams(3, SMALL)
    side.receive_data(b"".join(opened(stream) for stream in (7, 9, 11, 13)))
    assert [kind for kind, _, _ in answers(side)] == [frames.RST_STREAM] * 4
    check_connection_error(side, opened(15), frames.ENHANCE_YOUR_CALM)


def test_a_malformed_request_of_many_fields_costs_more() -> None:
    side = server(Http2Limits(glitches=200))
    fields = [*REQUEST, *[(b"", b"")] * 4000]
    assert side.receive_data(opened(3, fields)) == [StreamReset(3, frames.PROTOCOL_ERROR)]
    check_connection_error(side, opened(5, fields), frames.ENHANCE_YOUR_CALM)


# Bytes


def test_a_window_and_what_is_held_are_never_more_than_its_size() -> None:
    side = with_streams(3, SMALL)
    assert side.receive_data(frame(frames.DATA, 0, 1, b"x" * WINDOW)) == [DataReceived(1, b"x" * WINDOW, False)]
    assert side.data_to_send() == b""  # neither window is raised: nothing was handled
    assert side.receive_data(frame(frames.DATA, 0, 1, b"x")) == [StreamReset(1, frames.FLOW_CONTROL_ERROR)]


def test_a_message_larger_than_the_window_is_let_in_when_others_leave_room() -> None:
    side = with_streams(3, SMALL)
    for stream in (1, 3):
        side.receive_data(frame(frames.DATA, 0, stream, b"x" * WINDOW))
        side.expect_data(stream, 60_000)  # two of them are more than `unfinished`
    assert frames_of(side.data_to_send()) == [(frames.WINDOW_UPDATE, 0, 1, pack(">I", 60_000))]
    side.expect_data(3, 60_000)  # again: it waits already
    side.receive_data(frame(frames.DATA, 0, 1, b"x" * 60_000))
    side.handle_data(1, WINDOW + 60_000)
    side.end_large_message(1)
    assert [(answer.stream, frames.read_increment(answer)) for answer in frames_of(side.data_to_send())] == [
        (1, WINDOW),
        (3, 60_000),
    ]


def test_a_stream_that_ends_leaves_its_room_and_what_it_held() -> None:
    side = with_streams(3, SMALL)
    for stream in (1, 3):
        side.receive_data(frame(frames.DATA, 0, stream, b"x" * WINDOW))
        side.expect_data(stream, 60_000)
    side.data_to_send()
    side.receive_data(frames.rst_stream(1, frames.CANCEL))
    assert list(answers(side)) == [(frames.WINDOW_UPDATE, 3, 4)]
    side.receive_data(frames.rst_stream(3, frames.CANCEL))
    side.handle_data(3, WINDOW)  # too late: the stream has ended
    assert side._receive_window.held == 0


def test_a_waiting_message_that_ends_waits_no_more() -> None:
    shared = Reservations(10)
    assert shared.take(1, 10)
    assert not shared.take(3, 5)
    assert not shared.take(5, 8)
    assert shared.release(3) == []
    assert shared.release(1) == [(5, 8)]
    assert not shared.take(7, 3)
    assert shared.release(5) == [(7, 3)]


def test_what_a_peer_does_not_read_is_bounded() -> None:
    side = with_streams(2, Http2Limits(max_unsent=100_000))
    assert side.send_data(1, b"x" * 100_001)  # one may be larger
    assert not side.send_data(3, b"y")
    side.reset_stream(1, frames.CANCEL)
    side.data_to_send()
    assert side.send_data(3, b"y")


# Requests


@pytest.mark.parametrize(
    "fields",
    [
        [*REQUEST, (b"Upper", b"case")],
        [*REQUEST, (b"", b"no name")],
        [*REQUEST, (b"x", b"line\r\nbreak")],
        [*REQUEST, (b"x", b"nul\0")],
        [*REQUEST, (b"x", b" space")],
        [*REQUEST, (b"connection", b"close")],
        [*REQUEST, (b"te", b"gzip")],
        [*REQUEST, (b":path", b"/late")],
        [(b":path", b"/twice"), *REQUEST],
        [(b":unknown", b"x"), *REQUEST],
        [field for field in REQUEST if field[0] != b":scheme"],
        [(name, b"" if name == b":path" else value) for name, value in REQUEST],
        [(name, b"a\nb" if name == b":path" else value) for name, value in REQUEST],
        [*REQUEST, (b"content-length", b"x")],
        [*REQUEST, (b"content-length", b"1"), (b"content-length", b"2")],
    ],
)
def test_a_malformed_request_ends_its_stream_only(fields: HeaderFields) -> None:
    side = server()
    assert side.receive_data(opened(3, fields)) == [StreamReset(3, frames.PROTOCOL_ERROR)]
    assert side.receive_data(opened(5)) == [HeadersReceived(5, REQUEST, False)]


@pytest.mark.parametrize(
    ("length", "more"),
    [
        (b"5", frame(frames.DATA, frames.END_STREAM, 3, b"four")),
        (b"5", frame(frames.DATA, 0, 3, b"too much")),
        (b"5", opened(3, [(b"a", b"trailer")], frames.END_STREAM)),
        (b"4", frame(frames.DATA, 0, 3, b"four") + opened(3, [(b"X", b"trailer")], frames.END_STREAM)),
        (b"4", frame(frames.DATA, 0, 3, b"four") + opened(3, [(b":path", b"/x")], frames.END_STREAM)),
        (b"4", frame(frames.DATA, 0, 3, b"four") + opened(3, [(b"not", b"the end")])),
    ],
)
def test_a_body_that_is_not_as_long_as_announced_and_malformed_trailers(length: bytes, more: bytes) -> None:
    side = server()
    events = side.receive_data(opened(3, [*REQUEST, (b"content-length", length)]) + more)
    assert events[-1] == StreamReset(3, frames.PROTOCOL_ERROR)


def test_a_length_without_a_body() -> None:
    side = server()
    fields = [*REQUEST, (b"content-length", b"1")]
    assert side.receive_data(opened(3, fields, frames.END_STREAM)) == [StreamReset(3, frames.PROTOCOL_ERROR)]


def test_headers_above_the_limit_are_refused_and_the_connection_lives() -> None:
    side = server()
    assert side.receive_data(opened(3, [*REQUEST, (b"x", b"v" * 70_000)])) == [HeadersRefused(3)]
    assert side.receive_data(opened(5)) == [HeadersReceived(5, REQUEST, False)]


def test_headers_above_the_peer_s_frames_are_split() -> None:
    side = server()
    side.send_headers(1, [(b"x", b"v" * 40_000)])
    first, second, third = frames_of(side.data_to_send())
    assert [first.type, second.type, third.type] == [frames.HEADERS, frames.CONTINUATION, frames.CONTINUATION]
    assert [first.flags, second.flags, third.flags] == [0, 0, frames.END_HEADERS]


# Streams


def test_a_stream_that_was_never_opened_or_is_closed_for_both() -> None:
    side = Http2Connection(False)
    side.receive_data(frames.PREFACE + NO_SETTINGS + opened(5, flags=frames.END_STREAM))
    side.end_stream(5, [])
    side.data_to_send()
    side.receive_data(frame(frames.DATA, 0, 3, b"on an unopened one"))
    side.receive_data(frame(frames.DATA, 0, 5, b"on a closed one") + frames.rst_stream(5, 0))
    side.receive_data(frames.window_update(5, 0))
    assert [(kind, stream) for kind, stream, _ in answers(side)] == [(frames.RST_STREAM, one) for one in (3, 5, 5)]
    check_connection_error(side, opened(5), frames.STREAM_CLOSED)


def test_a_lower_stream_is_refused() -> None:
    check_connection_error(server(), opened(5) + opened(3), frames.PROTOCOL_ERROR)


def test_closed_streams_are_remembered_up_to_a_bound() -> None:
    side = Http2Connection(False, Http2Limits())
    side.receive_data(frames.PREFACE + NO_SETTINGS)
    for stream in range(1, 2 * sending_side.CLOSED_STREAMS + 3, 2):
        side.receive_data(opened(stream, flags=frames.END_STREAM))
        side.end_stream(stream, [])
        side.data_to_send()
    check_connection_error(side, opened(1), frames.PROTOCOL_ERROR)


def test_a_client_keeps_to_the_server_s_streams_and_to_the_numbers_there_are() -> None:
    side = Http2Connection(True)
    assert side.can_open_stream
    side.receive_data(frames.settings({frames.MAX_CONCURRENT_STREAMS: 1}))
    stream = side.open_stream(request_headers("/x.Y/Z", "h:1"))
    assert not side.can_open_stream
    side.reset_stream(stream, frames.CANCEL)
    assert side.can_open_stream
    side._last_stream = sending_side.MAX_STREAM
    assert not side.can_open_stream


def test_a_refused_request_may_have_ended_with_its_headers() -> None:
    side = server()
    large = [*REQUEST, (b"x", b"v" * 70_000)]
    assert side.receive_data(opened(3, large, frames.END_STREAM)) == [HeadersRefused(3)]
    side.end_stream(3, [])
    assert [kind for kind, stream, _ in answers(side) if stream == 3] == [frames.HEADERS]


def test_a_waiting_message_that_does_not_fit_yet_waits_on() -> None:
    shared = Reservations(10)
    assert [shared.take(1, 5), shared.take(3, 5), shared.take(5, 8)] == [True, True, False]
    assert shared.release(1) == []
    assert shared.release(3) == [(5, 8)]
