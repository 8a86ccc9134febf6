"""The shell between a socket and a stream's two users, over transports that record."""

import asyncio
import socket

import pytest

from runtime.grpc_wire import frames
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.client import ClientProtocol
from runtime.grpc_wire.events import DataReceived, HeadersReceived, StreamReset
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.server import Server, ServerProtocol
from runtime.grpc_wire.status import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    OK,
    UNAVAILABLE,
    UNIMPLEMENTED,
    StreamEnded,
    request,
)

PATH = "/x.Y/Z"


class Pipe:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.hung_up = ""

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def get_extra_info(self, name: str) -> socket.socket:
        return SOCKET

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.hung_up = self.hung_up or "closed"

    def abort(self) -> None:
        self.hung_up = "aborted"

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
        self.on_data: list[object] = []
        self.ends: list[StreamEnded] = []
        self.call: Call | None = None
        self.trouble: Exception | None = None

    def on_message(self, message: bytes) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.on_data.append(message)
        if message == b"stop":
            self.call.stop_reading()

    def on_writable(self) -> None:
        self.on_data.append("writable")

    def on_half_close(self) -> None:
        self.on_data.append("finished")

    def on_end(self, how: StreamEnded) -> None:
        self.ends.append(how)


class Pair:
    """A client's and a server's wire, and the ears of one stream."""

    def __init__(self, path: str = PATH, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.near, self.far = RecordingHandler(), RecordingHandler()
        self.near_pipe, self.far_pipe = Pipe(), Pipe()
        self.client, self.server = ClientProtocol(Http2Limits()), ServerProtocol(Server({PATH: self.serve}))
        stream = self.client.connection.open([*request(path, "h:1"), *headers])
        self.near.call = self.client.calls[stream] = Call(self.client, stream, client=True)
        self.near.call.handler = self.near
        self.client.connection_made(self.near_pipe)
        self.server.connection_made(self.far_pipe)
        self.pump()

    def serve(self, call: Call) -> RecordingHandler:
        self.far.call = call
        return self.far

    def pump(self) -> None:
        while self.near_pipe.written or self.far_pipe.written:
            self.server.data_received(self.near_pipe.take())
            self.client.data_received(self.far_pipe.take())


async def test_messages_both_ways_a_half_close_and_a_status() -> None:
    pair = Pair()
    pair.near.call.send(b"one")
    pair.near.call.send(b"two")
    pair.pump()
    pair.far.call.send(b"three")
    pair.near.call.finish()
    pair.pump()
    pair.far.call.end()
    pair.pump()
    assert pair.far.on_data == [b"one", b"two", "finished"]
    assert pair.near.on_data == [b"three"]
    assert [how.status for how in pair.near.ends + pair.far.ends] == [OK, OK]
    assert pair.near_pipe.hung_up == "closed"
    pair.far.call.send(b"too late")
    pair.far.call.end()
    pair.far.call.cancel()
    assert pair.far_pipe.written == b""


async def test_a_reader_that_stops_hears_the_rest_when_it_reads_on() -> None:
    pair = Pair()
    pair.near.call.send(b"stop")
    pair.pump()
    pair.near.call.send(b"later")
    pair.near.call.finish()
    pair.pump()
    assert pair.far.on_data == [b"stop"]
    pair.far.call.resume_reading()
    assert pair.far.on_data == [b"stop", b"later", "finished"]


async def test_a_full_kernel_makes_it_gather_and_says_when_there_is_room() -> None:
    pair = Pair()
    pair.client.pause_writing()
    assert not pair.near.call.writable
    pair.near.call.send(b"waits")
    assert pair.near_pipe.written == b""
    pair.client.resume_writing()
    pair.pump()
    assert (pair.near.on_data, pair.far.on_data) == (["writable"], [b"waits"])


async def test_a_message_above_the_window_says_when_it_is_gone() -> None:
    pair = Pair()
    pair.near.call.send(b"x" * 5_000_000)
    assert not pair.near.call.writable
    pair.pump()
    assert (pair.near.on_data, len(pair.far.on_data[0])) == (["writable"], 5_000_000)


@pytest.mark.parametrize("trouble", [ValueError("a defect"), StreamEnded(INTERNAL, "a message could not be handled")])
async def test_trouble_with_a_message_ends_its_stream_only(trouble: Exception) -> None:
    pair = Pair()
    pair.far.trouble = trouble
    pair.near.call.send(b"one")
    pair.near.call.send(b"two")
    pair.pump()
    for ear in (pair.near, pair.far):
        assert [str(how) for how in ear.ends] == ["internal: a message could not be handled"]
    assert pair.far_pipe.hung_up == ""


async def test_a_client_ends_a_stream_whose_answer_it_cannot_read() -> None:
    pair = Pair()
    pair.near.trouble = StreamEnded(INTERNAL, "nonsense")
    pair.far.call.send(b"one")
    pair.pump()
    assert [how.status for how in pair.near.ends] == [INTERNAL]
    assert [how.status for how in pair.far.ends] == [CANCELLED]


async def test_who_is_refused() -> None:
    pair = Pair("/x.Y/Other")
    assert [how.status for how in pair.near.ends] == [UNIMPLEMENTED]
    assert pair.far.call is None


async def test_a_deadline_ends_the_stream() -> None:
    pair = Pair(headers=((b"grpc-timeout", b"1n"),))
    while not pair.near.ends:  # a deadline of a nanosecond: some turns of the loop, no time
        await asyncio.sleep(0)
        pair.pump()
    assert [how.status for how in pair.near.ends] == [DEADLINE_EXCEEDED]


async def test_headers_within_a_stream() -> None:
    pair = Pair()
    pair.client.connection.headers(1, [(b"more", b"headers")])
    pair.client.flush()
    pair.pump()
    assert [how.status for how in pair.near.ends] == [INTERNAL]


async def test_trailers_of_a_client_are_a_half_close() -> None:
    pair = Pair()
    pair.client.connection.end(1, [(b"some", b"trailer")])
    pair.client.flush()
    pair.pump()
    assert pair.far.on_data == ["finished"]


async def test_a_half_close_within_a_message() -> None:
    pair = Pair()
    pair.client.connection.send(1, b"\0\0\0\0\5he")
    pair.near.call.finish()
    pair.pump()
    assert [how.status for how in pair.near.ends] == [INTERNAL]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (DataReceived(1, b"", 0, True), INTERNAL),
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


async def test_a_server_that_goes_away_before_it_looked() -> None:
    pair = Pair()
    pair.client.data_received(frames.goaway(0, 0, b"bye"))
    assert [str(how) for how in pair.near.ends] == ["unavailable: the server took no streams: bye"]


async def test_a_connection_that_is_lost_or_breaks_the_protocol() -> None:
    pair = Pair()
    pair.server.connection_lost(ConnectionResetError("reset"))
    assert [str(how) for how in pair.far.ends] == ["unavailable: reset"]
    pair.client.data_received(frames.settings({frames.MAX_FRAME_SIZE: 1}))
    assert [how.status for how in pair.near.ends] == [UNAVAILABLE]
    assert pair.near_pipe.hung_up == "closed"


async def test_a_client_hangs_up_at_once_on_a_server_that_does_not_read() -> None:
    pair = Pair()
    pair.client.pause_writing()
    pair.near.call.cancel()
    assert pair.near_pipe.hung_up == "aborted"
