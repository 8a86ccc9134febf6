"""Calls between a client's and a server's connection, over transports that record."""

import asyncio
import gc
import socket
import weakref

import pytest

from runtime.grpc_wire import frames
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.client import ClientProtocol
from runtime.grpc_wire.events import DataReceived, HeadersReceived, Http2Event, StreamReset
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.http2_protocol import MESSAGES_PER_ITERATION
from runtime.grpc_wire.messages import encode_message
from runtime.grpc_wire.server import (
    HANDSHAKE_TIMEOUT,
    IDLE_TIMEOUT,
    NOT_GRPC,
    WRITE_TIMEOUT,
    GrpcServer,
    ServerProtocol,
)
from runtime.grpc_wire.status import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    OK,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    StreamEnded,
    request_headers,
)

PATH = "/x.Y/Z"


class RecordingTransport:
    """A transport that records what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = ""
        self.paused = False

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        assert (high, low) == (1, 0)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return bool(self.closed)

    def get_extra_info(self, name: str) -> socket.socket:
        return SOCKET

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = self.closed or "closed"

    def abort(self) -> None:
        self.closed = "aborted"

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written


SOCKET = socket.socket()


@pytest.fixture(scope="module", autouse=True)
def _close_the_socket():
    yield
    SOCKET.close()


class RecordingHandler:
    def __init__(self) -> None:
        self.events: list[object] = []
        self.ends: list[StreamEnded] = []
        self.call: Call | None = None
        self.error: Exception | None = None

    def on_message(self, message: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.events.append(message)
        if message == b"stop":
            self.call.pause_reading()

    def on_writable(self) -> None:
        self.events.append("writable")

    def on_half_close(self) -> None:
        self.events.append("half-closed")

    def on_end(self, how: StreamEnded) -> None:
        self.ends.append(how)


class Pair:
    """A client's and a server's connection, and the handlers of one stream."""

    def __init__(self, path: str = PATH, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.near, self.far = RecordingHandler(), RecordingHandler()
        self.near_transport, self.far_transport = RecordingTransport(), RecordingTransport()
        self.client, self.server = ClientProtocol(Http2Limits()), ServerProtocol(GrpcServer({PATH: self.serve}))
        stream = self.client.connection.open_stream([*request_headers(path, "h:1"), *headers])
        self.near.call = self.client.calls[stream] = Call(self.client, stream, client=True)
        self.near.call.handler = self.near
        self.client.connection_made(self.near_transport)
        self.server.connection_made(self.far_transport)
        self.pump()

    def serve(self, call: Call) -> RecordingHandler:
        self.far.call = call
        return self.far

    def pump(self) -> None:
        while self.near_transport.written or self.far_transport.written:
            self.server.data_received(self.near_transport.take())
            self.client.data_received(self.far_transport.take())


async def test_messages_both_ways_a_half_close_and_a_status() -> None:
    pair = Pair()
    pair.near.call.send(b"one")
    pair.near.call.send(b"two")
    pair.pump()
    pair.far.call.send(b"three")
    pair.near.call.half_close()
    pair.pump()
    pair.far.call.end()
    pair.pump()
    assert pair.far.events == [b"one", b"two", "half-closed"]
    assert pair.near.events == [b"three"]
    assert [how.status for how in pair.near.ends + pair.far.ends] == [OK, OK]
    assert pair.near_transport.closed == "closed"
    pair.far.call.send(b"too late")
    pair.far.call.end()
    pair.far.call.cancel()
    assert pair.far_transport.written == b""


async def test_a_paused_reader_receives_the_rest_when_it_resumes() -> None:
    pair = Pair()
    pair.near.call.send(b"stop")
    pair.pump()
    pair.near.call.send(b"later")
    pair.near.call.half_close()
    pair.pump()
    assert pair.far.events == [b"stop"]
    pair.far.call.resume_reading()
    assert pair.far.events == [b"stop", b"later", "half-closed"]


async def test_messages_wait_while_the_kernel_is_full_and_the_handler_is_notified_after() -> None:
    pair = Pair()
    pair.client.pause_writing()
    assert not pair.near.call.writable
    pair.near.call.send(b"waits")
    assert pair.near_transport.written == b""
    pair.client.resume_writing()
    pair.pump()
    assert (pair.near.events, pair.far.events) == (["writable"], [b"waits"])


async def test_the_handler_is_notified_when_a_message_above_the_window_is_sent() -> None:
    pair = Pair()
    pair.near.call.send(b"x" * 5_000_000)
    assert not pair.near.call.writable
    while not pair.far.events:
        pair.pump()
        await asyncio.sleep(0)  # a large read ends the server's iteration of the loop
    assert (pair.near.events, len(pair.far.events[0])) == (["writable"], 5_000_000)
    assert not pair.far_transport.paused


@pytest.mark.parametrize("error", [ValueError("a defect"), StreamEnded(INTERNAL, "a message could not be handled")])
async def test_an_error_in_a_handler_ends_its_stream_only(error: Exception) -> None:
    pair = Pair()
    pair.far.error = error
    pair.near.call.send(b"one")
    pair.near.call.send(b"two")
    pair.pump()
    for handler in (pair.near, pair.far):
        assert [str(how) for how in handler.ends] == ["internal: a message could not be handled"]
    assert pair.far_transport.closed == ""


async def test_a_client_resets_a_stream_whose_message_it_cannot_decode() -> None:
    pair = Pair()
    pair.near.error = StreamEnded(INTERNAL, "nonsense")
    pair.far.call.send(b"one")
    pair.pump()
    assert [how.status for how in pair.near.ends] == [INTERNAL]
    assert [how.status for how in pair.far.ends] == [CANCELLED]


async def test_an_unknown_method_is_refused() -> None:
    pair = Pair("/x.Y/Other")
    assert [how.status for how in pair.near.ends] == [UNIMPLEMENTED]
    assert pair.far.call is None


async def test_a_deadline_ends_the_stream() -> None:
    pair = Pair(headers=((b"grpc-timeout", b"1n"),))
    while not pair.near.ends:  # a deadline of a nanosecond: some turns of the loop, no time
        await asyncio.sleep(0)
        pair.pump()
    assert [how.status for how in pair.near.ends] == [DEADLINE_EXCEEDED]


async def test_headers_within_a_stream_are_malformed() -> None:
    pair = Pair()
    pair.client.connection.send_headers(1, [(b"more", b"headers")])
    pair.client.flush()
    pair.pump()
    assert [how.message for how in pair.near.ends] == ["the stream was reset with code 1"]


async def test_trailers_of_a_client_are_a_half_close() -> None:
    pair = Pair()
    pair.client.connection.end_stream(1, [(b"some", b"trailer")])
    pair.client.flush()
    pair.pump()
    assert pair.far.events == ["half-closed"]


async def test_a_half_close_within_a_message() -> None:
    pair = Pair()
    pair.client.connection.send_data(1, b"\0\0\0\0\5he")
    pair.near.call.half_close()
    pair.pump()
    assert [how.status for how in pair.near.ends] == [INTERNAL]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (DataReceived(1, b"", True), INTERNAL),
        (HeadersReceived(1, [(b":status", b"503")], False), UNAVAILABLE),
        (StreamReset(1, frames.CANCEL), CANCELLED),
    ],
)
async def test_a_server_that_ends_without_a_status(event, status: int) -> None:
    pair = Pair()
    if isinstance(event, DataReceived):
        pair.near.call.on_data(event)
    else:
        pair.client.on_event(event)
    assert [how.status for how in pair.near.ends] == [status]


async def test_a_goaway_before_the_stream_was_processed() -> None:
    pair = Pair()
    pair.client.data_received(frames.goaway(0, 0, b"bye"))
    assert [str(how) for how in pair.near.ends] == ["unavailable: the server took no streams: bye"]


async def test_a_connection_that_is_lost_or_violates_http2() -> None:
    pair = Pair()
    pair.server.connection_lost(ConnectionResetError("reset"))
    assert [str(how) for how in pair.far.ends] == ["unavailable: reset"]
    pair.client.data_received(frames.settings({frames.MAX_FRAME_SIZE: 1}))
    assert [how.status for how in pair.near.ends] == [UNAVAILABLE]
    assert pair.near_transport.closed == "closed"


async def test_a_client_aborts_the_connection_to_a_server_that_does_not_read() -> None:
    pair = Pair()
    pair.client.pause_writing()
    pair.near.call.cancel()
    assert pair.near_transport.closed == "aborted"


async def test_trailers_for_a_call_that_has_ended_are_ignored() -> None:
    pair = Pair()
    pair.far.call.end()
    pair.server.on_event(HeadersReceived(1, [(b"some", b"trailer")], True))
    assert (pair.far.events, [how.status for how in pair.far.ends]) == ([], [OK])


async def test_a_request_that_ends_with_its_headers_is_a_half_close() -> None:
    pair = Pair()
    pair.server.on_event(HeadersReceived(3, request_headers(PATH, "h:1"), True))
    assert pair.far.events == ["half-closed"]


async def test_a_turn_passes_on_some_messages_and_the_next_the_others() -> None:
    pair = Pair()
    messages = [b"%d" % number for number in range(3 * MESSAGES_PER_ITERATION)]
    pair.client.connection.send_data(1, b"".join(map(encode_message, messages)))
    pair.near.call.half_close()
    pair.pump()
    assert len(pair.far.events) == MESSAGES_PER_ITERATION
    assert pair.far_transport.paused
    while pair.far_transport.paused:
        await asyncio.sleep(0)
    assert pair.far.events == [*messages, "half-closed"]


async def test_a_reader_that_pauses_gets_nothing_more_of_what_has_come() -> None:
    pair = Pair()
    pair.client.connection.send_data(1, encode_message(b"stop") + encode_message(b"later"))
    pair.client.flush()
    pair.pump()
    assert pair.far.events == [b"stop"]
    pair.far.call.resume_reading()
    assert pair.far.events == [b"stop", b"later"]


async def test_a_client_gets_every_message_before_the_status() -> None:
    pair = Pair()
    pair.near.call.pause_reading()
    pair.far.call.send(b"answer")
    pair.far.call.end()
    pair.pump()
    assert (pair.near.events, pair.near.ends) == ([], [])
    pair.near.call.resume_reading()
    assert (pair.near.events, [how.status for how in pair.near.ends]) == ([b"answer"], [OK])


async def test_what_is_left_of_a_turn_is_nothing_when_the_connection_is_closed() -> None:
    pair = Pair()
    pair.client.connection.send_data(1, encode_message(b"x") * 3 * MESSAGES_PER_ITERATION)
    pair.client.flush()
    pair.pump()
    pair.server.close("enough")
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(pair.far.events) == MESSAGES_PER_ITERATION


async def test_an_answer_that_nobody_reads_ends_with_its_deadline() -> None:
    pair = Pair(headers=((b"grpc-timeout", b"1n"),))
    pair.far.call.send(b"x" * 5_000_000)  # more than the window
    pair.far.call.end()
    while pair.server.connection.queued(1):
        await asyncio.sleep(0)
    assert [how.status for how in pair.far.ends] == [OK]


async def test_more_than_a_connection_may_keep_for_a_peer_ends_the_call() -> None:
    pair = Pair()
    pair.server.connection.limits = Http2Limits(max_unsent=1_000_000)
    pair.far.call.send(b"x" * 5_000_000)
    pair.far.call.send(b"x")
    pair.pump()
    assert [how.status for how in pair.far.ends + pair.near.ends] == [RESOURCE_EXHAUSTED, RESOURCE_EXHAUSTED]


async def test_a_handler_may_finish_before_the_call_ends_for_a_message_that_cannot_be_read() -> None:
    pair = Pair()
    ends: list[StreamEnded] = []
    pair.far.call.on_unreadable = ends.append
    pair.client.connection.send_data(1, encode_message(b"good") + b"\1\0\0\0\0")
    pair.client.flush()
    pair.pump()
    assert (pair.far.events, [how.status for how in ends], pair.near.ends) == ([b"good"], [INTERNAL], [])


@pytest.mark.parametrize(("method", "status"), [(b"GET", b"405"), (b"HEAD", b"405"), (b"POST", b"415")])
async def test_a_request_that_is_not_grpc_is_told_so(method: bytes, status: bytes) -> None:
    pair = Pair()
    fields = [(b":method", method), (b":scheme", b"http"), (b":path", b"/")]
    stream = pair.client.connection.open_stream(fields)
    pair.client.connection.send_data(stream, b"body")
    pair.client.flush()
    pair.server.data_received(pair.near_transport.take())
    assert pair.far_transport.take() == b""  # it is answered once it has ended
    answered: list[Http2Event] = []
    pair.client.on_event = answered.append  # type: ignore[method-assign]
    pair.client.connection.end_stream(stream)
    pair.client.flush()
    pair.server.data_received(pair.near_transport.take())
    sent = pair.far_transport.take()
    answered += pair.client.connection.receive_data(sent)
    assert (b":status", status) in answered[0].headers
    assert (NOT_GRPC in sent) == (method != b"HEAD")


async def test_a_request_that_is_not_grpc_may_end_with_trailers_or_a_reset() -> None:
    pair = Pair()
    fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
    connection = pair.client.connection
    connection.reset_stream(connection.open_stream(fields), frames.CANCEL)
    connection.end_stream(connection.open_stream(fields), [(b"some", b"trailer")])
    pair.client.flush()
    pair.server.data_received(pair.near_transport.take())
    assert pair.far_transport.take().count(NOT_GRPC) == 1


async def test_headers_that_are_too_large_end_the_call_with_a_status() -> None:
    pair = Pair(headers=((b"x", b"v" * 70_000),))
    assert [str(how) for how in pair.near.ends] == ["resource_exhausted: headers above 65536 bytes"]
    assert pair.far_transport.closed == ""


async def test_no_cycle_keeps_a_call_that_has_ended() -> None:
    gc.collect()
    gc.disable()
    try:
        pair = Pair()
        pair.near.call.send_and_half_close(b"one")
        pair.pump()
        pair.far.call.send(b"two")
        pair.far.call.end()
        pair.pump()
        calls = [weakref.ref(handler) for handler in (pair.near, pair.far)]
        pair.near = pair.far = RecordingHandler()
        assert [call() for call in calls] == [None, None]
    finally:
        gc.enable()


def seconds(connection: ServerProtocol, count: int) -> None:
    for _ in range(count):
        connection.on_second()


async def test_a_client_without_a_handshake_is_disconnected() -> None:
    connection, transport = ServerProtocol(GrpcServer({})), RecordingTransport()
    connection.connection_made(transport)
    connection.data_received(frames.PREFACE[:5])
    seconds(connection, HANDSHAKE_TIMEOUT - 1)
    connection.data_received(frames.PREFACE[5:6])
    assert transport.closed == ""
    seconds(connection, 1)
    assert transport.closed == "aborted"


async def test_an_idle_client_is_disconnected_and_one_with_a_call_is_not() -> None:
    pair = Pair()
    seconds(pair.server, 2 * IDLE_TIMEOUT)
    assert pair.far_transport.closed == ""
    pair.far.call.end()
    seconds(pair.server, IDLE_TIMEOUT)
    assert pair.far_transport.closed == "closed"
    assert b"idle" in pair.far_transport.take()


async def test_a_client_that_reads_nothing_is_disconnected() -> None:
    pair = Pair()
    pair.server.pause_writing()
    seconds(pair.server, WRITE_TIMEOUT - 1)
    pair.server.resume_writing()
    pair.server.pause_writing()
    seconds(pair.server, WRITE_TIMEOUT - 1)
    assert pair.far_transport.closed == ""
    seconds(pair.server, 1)
    assert pair.far_transport.closed == "aborted"
