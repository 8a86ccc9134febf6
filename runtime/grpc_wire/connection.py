"""Core: one HTTP/2 connection, as a client or a server (RFC 9113): bytes in, events out, `data_to_send` after both.

There is no push, no priority and no upgrade: what a gRPC peer may send is processed, the rest is ignored or refused as
the RFC says. Our field blocks are literals that are not indexed, after a table size of 0, so any table of the peer
suffices. An error of the connection ends it: `ConnectionFailed` is the last event, and `data_to_send` has the GOAWAY.

What a peer can make us do is bounded: `receive_data` processes `WORK_PER_CALL` units of work and keeps the rest for its
next call, so that other connections are served too; `Http2Limits` bounds what is kept; useless frames are counted
(`runtime.grpc_wire.glitches`).
"""

from typing import Final

from runtime.grpc_wire import frames, glitches
from runtime.grpc_wire.events import (
    ConnectionFailed,
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    HeadersRefused,
    Http2Event,
    StreamDrained,
    StreamReset,
)
from runtime.grpc_wire.flow import DEFAULT_WINDOW, MAX_WINDOW, Http2Limits, ReceiveWindow, Reservations, StreamState
from runtime.grpc_wire.frames import Frame, FrameReader, Http2Error
from runtime.grpc_wire.glitches import GlitchBudget
from runtime.grpc_wire.header_blocks import HeaderBlockReader, HeaderFields, encode_headers, header_list_size
from runtime.grpc_wire.outbound import Outbound
from runtime.grpc_wire.request_rules import content_length, malformed_request, malformed_trailers

MAX_REPLIES: Final = 1000  # acknowledgements and resets that wait for a peer that does not read
MAX_STREAM: Final = 0x7FFFFFFF
WORK_PER_CALL: Final = 1000  # units of work in one call of `receive_data`; one is some microseconds
HEADERS_WORK: Final = 20  # of a request: its call, its answer
FIELD_WORK: Final = 2
CLOSED_STREAMS: Final = 1000  # that are remembered: what comes on them late is told from what never may


class Http2Connection:
    """One side of one connection. The first `data_to_send` has the preface."""

    def __init__(self, client: bool, limits: Http2Limits | None = None) -> None:
        self.limits = limits = limits or Http2Limits()
        self.settings_received = False
        self.has_unprocessed = False  # `receive_data(b"")` goes on with what was received
        self.max_streams = MAX_STREAM  # that the peer allows to be open at a time
        self._client = client
        self._reader = FrameReader(limits.max_frame_size, b"" if client else frames.PREFACE)
        self._blocks = HeaderBlockReader()
        self._streams: dict[int, StreamState] = {}
        self._closed: dict[int, bool] = {}  # by stream: whether the peer may not know yet that we have closed it
        self._last_stream = -1 if client else 0  # the newest stream that the client has opened
        self._receive_window = ReceiveWindow(limits.connection_window)
        self._reservations = Reservations(limits.unfinished)
        self._goaway_sent = self._failed = False
        self._replies = 0  # in `_out`
        self._work = 0  # left in this call of `receive_data`
        self._glitches = GlitchBudget(limits.glitches)
        self._events: list[Http2Event] = []
        self._out = Outbound()
        self._send_preface()

    def _send_preface(self) -> None:
        limits = self.limits
        values = {frames.INITIAL_WINDOW_SIZE: limits.stream_window, frames.MAX_FRAME_SIZE: limits.max_frame_size}
        values[frames.MAX_HEADER_LIST_SIZE] = limits.max_header_list
        if self._client:
            self._out.add(frames.PREFACE)
            values[frames.ENABLE_PUSH] = 0
        else:
            values[frames.MAX_CONCURRENT_STREAMS] = limits.max_concurrent_streams
        self._out.add(frames.settings(values), frames.window_update(0, limits.connection_window - DEFAULT_WINDOW))

    # Sending --------------------------------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """The bytes to write now."""
        self._replies = 0
        return self._out.take()

    @property
    def can_open_stream(self) -> bool:
        """As a client: whether the peer allows another stream now."""
        return len(self._streams) < self.max_streams and self._last_stream < MAX_STREAM

    @property
    def exhausted(self) -> bool:
        """As a client: whether no stream can be opened any more: their numbers are used up."""
        return self._last_stream >= MAX_STREAM

    def open_stream(self, headers: HeaderFields) -> int:
        """Open a stream, as a client. The result is its id."""
        self._last_stream += 2
        self._streams[self._last_stream] = StreamState(self.limits.stream_window)
        self.send_headers(self._last_stream, headers)
        return self._last_stream

    def send_headers(self, stream: int, headers: HeaderFields) -> None:
        """Send headers. A no-op on a closed stream."""
        if stream in self._streams:
            self._out.add_headers(stream, encode_headers(headers))

    def send_data(self, stream: int, data: bytes) -> bool:
        """Send data as far as the windows allow, and queue the rest. A no-op on a closed stream.

        False: the peer reads so little that more than `max_unsent` bytes wait; nothing was sent, reset the stream.
        """
        state = self._streams.get(stream)
        if state is None or state.end_frame:
            return True
        out = self._out
        if out.queued + out.unwritten > self.limits.max_unsent:
            return False
        out.send(stream, state, data)
        self._glitches.refill(glitches.WINDOW_UPDATES)
        return True

    def queued(self, stream: int) -> int:
        """Bytes that wait for the peer's window."""
        state = self._streams.get(stream)
        return state.queued if state else 0

    def end_stream(self, stream: int, trailers: HeaderFields | None = None) -> None:
        """Close our side of a stream, after what is queued. A no-op on a closed stream."""
        state = self._streams.get(stream)
        if state is None or state.end_frame:
            return
        if trailers is None:
            state.end_frame = frames.frame(frames.DATA, frames.END_STREAM, stream)
        else:
            block, size = encode_headers(trailers), self._out.max_frame_size
            state.end_frame = frames.header_frames(stream, block, frames.END_STREAM, size)
        if not state.queued:
            self._end_our_side(stream, state)

    def reset_stream(self, stream: int, code: int) -> None:
        """Close both sides of a stream, at once. A no-op on a closed stream."""
        state = self._streams.get(stream)
        if state is not None:
            self._forget(stream, state, late=True)
            self._out.add(frames.rst_stream(stream, code))

    def handle_data(self, stream: int, size: int) -> None:
        """The application has handled `size` bytes of `DataReceived`: raise the windows."""
        state = self._streams.get(stream)
        if state is None:
            return
        self._raise_connection_window(size)
        if (increment := state.receive_window.on_handled(size)) and not state.remote_closed:
            self._out.add(frames.window_update(stream, increment))

    def expect_data(self, stream: int, missing: int) -> None:
        """The stream's unfinished message lacks `missing` bytes: allow them, as soon as other large messages let it."""
        state = self._streams.get(stream)
        if state is None or state.remote_closed or state.receive_window.available >= missing:
            return
        window = state.receive_window
        increment = window.refill()
        beyond = missing - window.available
        if beyond > 0 and self._reservations.take(stream, beyond):
            window.extend(beyond)
            increment += beyond
        if increment:
            self._out.add(frames.window_update(stream, increment))

    def end_large_message(self, stream: int) -> None:
        """The message for which `expect_data` was called is complete: others may have their turn."""
        for granted, size in self._reservations.release(stream):
            self._streams[granted].receive_window.extend(size)
            self._out.add(frames.window_update(granted, size))

    def ping(self) -> None:
        """Send a PING. Any bytes of the peer after it show that the peer is alive."""
        self._out.add(frames.frame(frames.PING, 0, 0, bytes(8)))

    def go_away(self, code: int = frames.NO_ERROR, reason: str = "") -> None:
        """Accept no new streams; the open ones continue."""
        if not self._goaway_sent:
            self._goaway_sent = True
            self._out.add(frames.goaway(max(self._last_stream, 0), code, reason.encode()))

    def on_second(self) -> None:
        """A second has passed."""
        self._glitches.refill(glitches.PER_SECOND)

    def _end_our_side(self, stream: int, state: StreamState) -> None:
        """All data was sent: a server that has answered reads no more (RFC 9113 §8.1)."""
        self._out.add(state.end_frame)
        if self._client and not state.remote_closed:
            return
        self._forget(stream, state, late=not state.remote_closed)
        self._glitches.refill(glitches.RESET)
        if not state.remote_closed:
            self._out.add(frames.rst_stream(stream, frames.NO_ERROR))

    def _forget(self, stream: int, state: StreamState, late: bool) -> None:
        """The stream is closed; `late`: the peer may not know yet, and what it still sends is ignored."""
        del self._streams[stream]
        self._closed[stream] = late
        if len(self._closed) > CLOSED_STREAMS:
            del self._closed[next(iter(self._closed))]
        self._out.forget(stream, state)
        self._raise_connection_window(state.receive_window.held)
        self.end_large_message(stream)

    def _raise_connection_window(self, size: int) -> None:
        if increment := self._receive_window.on_handled(size):
            self._out.add(frames.window_update(0, increment))

    # Receiving ------------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> list[Http2Event]:
        """The events in `data`, however it was split. None after `ConnectionFailed`. See `has_unprocessed`."""
        events = self._events = []
        self.has_unprocessed = False
        if self._failed:
            return events
        try:
            self._reader.feed(data)
            self._process_frames()
            if self._out.may_resume:
                self._resume()
        except Http2Error as error:
            self._failed = True
            last_stream = 0 if self._client else self._last_stream
            self._out.add(frames.goaway(last_stream, error.code, str(error).encode()))
            events.append(ConnectionFailed(error.code, str(error)))
        return events

    def _process_frames(self) -> None:
        self._work = WORK_PER_CALL
        next_frame, blocks = self._reader.next_frame, self._blocks
        while (frame := next_frame()) is not None:
            if blocks.incomplete and frame.type != frames.CONTINUATION:
                raise Http2Error(frames.PROTOCOL_ERROR, "a header block was interrupted")
            if not self.settings_received and frame.type != frames.SETTINGS:
                raise Http2Error(frames.PROTOCOL_ERROR, "the first frame must be SETTINGS")
            _FRAME_HANDLERS.get(frame.type, Http2Connection._on_unknown)(self, frame)
            self._work -= 1 + (len(frame.payload) >> 10)
            if self._work < 0:
                self.has_unprocessed = True
                return

    def _on_unknown(self, frame: Frame) -> None:
        self._glitch(glitches.FRAME)  # an unknown type must be ignored (RFC 9113 §4.1)

    def _glitch(self, cost: int) -> None:
        if not self._glitches.spend(cost) and not self._client:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    def _on_data(self, frame: Frame) -> None:
        size = len(frame.payload)
        self._receive_window.on_received(size)
        content = frame.content() if frame.flags & frames.PADDED else frame.payload
        state = self._open_stream_of(frame)
        if state is None:
            self._raise_connection_window(size)
            return
        end_stream = bool(frame.flags & frames.END_STREAM)
        if size < glitches.SMALL_DATA and not end_stream:
            self._glitch(glitches.FRAME)
        try:
            state.receive_window.on_received(size)
        except Http2Error as error:
            self._raise_connection_window(size)
            self._stream_error(frame.stream, state, error.code)
            return
        if _wrong_length(state, len(content), end_stream):
            self._stream_error(frame.stream, state, frames.PROTOCOL_ERROR)
            return
        self._events.append(DataReceived(frame.stream, content, end_stream))
        if len(content) < size:
            self.handle_data(frame.stream, size - len(content))
        if end_stream:
            self._on_remote_closed(frame.stream, state)

    def _on_headers(self, frame: Frame) -> None:
        if frame.type == frames.HEADERS and frame.flags & frames.PRIORITY_FLAG:
            self._check_priority(frame, frame.payload[1:] if frame.flags & frames.PADDED else frame.payload)
        read = self._blocks.headers if frame.type == frames.HEADERS else self._blocks.continuation
        block = read(frame)
        if block is None:
            return
        headers, end_stream = block
        self._work -= HEADERS_WORK + FIELD_WORK * len(headers)
        if not self._client and frame.stream > self._last_stream and frame.stream % 2:
            self._on_request(frame.stream, headers, end_stream)
        elif (state := self._open_stream_of(frame)) is not None:
            self._on_more_headers(frame.stream, state, headers, end_stream)

    def _on_request(self, stream: int, headers: HeaderFields, end_stream: bool) -> None:
        self._last_stream = stream
        if self._goaway_sent or len(self._streams) >= self.limits.max_concurrent_streams:
            self._closed[stream] = True
            self._glitch(glitches.RESET + len(headers) // glitches.FIELDS)
            self._reply(frames.rst_stream(stream, frames.REFUSED_STREAM))
            return
        state = self._streams[stream] = StreamState(self.limits.stream_window)
        if not self._blocks.remembered and not self._accept_request(stream, state, headers, end_stream):
            return
        self._events.append(HeadersReceived(stream, headers, end_stream))
        if end_stream:
            self._on_remote_closed(stream, state)

    def _accept_request(self, stream: int, state: StreamState, headers: HeaderFields, end_stream: bool) -> bool:
        """Whether its headers are well-formed and not too large. If not, its stream is reset or refused."""
        length = content_length(headers)
        if malformed_request(headers) or length is None:
            self._glitch(len(headers) // glitches.FIELDS)
            self._stream_error(stream, state, frames.PROTOCOL_ERROR)
            return False
        state.content_length = length
        if end_stream and _wrong_length(state, 0, end_stream):
            self._stream_error(stream, state, frames.PROTOCOL_ERROR)
            return False
        if header_list_size(headers) > self.limits.max_header_list:
            self._events.append(HeadersRefused(stream))
            if end_stream:
                self._on_remote_closed(stream, state)
            return False
        if length < 0:
            self._blocks.remember()
        return True

    def _on_more_headers(self, stream: int, state: StreamState, headers: HeaderFields, end_stream: bool) -> None:
        """A response, or trailers."""
        if not self._client and (not end_stream or malformed_trailers(headers) or _wrong_length(state, 0, True)):
            self._stream_error(stream, state, frames.PROTOCOL_ERROR)
            return
        self._events.append(HeadersReceived(stream, headers, end_stream))
        if end_stream:
            self._on_remote_closed(stream, state)

    def _open_stream_of(self, frame: Frame) -> StreamState | None:
        """The stream of a frame, if the peer may still send on it. None: closed, where a late frame is ignored."""
        stream = frame.stream
        state = self._streams.get(stream)
        if state is not None:
            if not state.remote_closed:
                return state
            self._stream_error(stream, state, frames.STREAM_CLOSED)
        elif stream > self._last_stream or stream % 2 == 0:
            raise Http2Error(frames.PROTOCOL_ERROR, f"stream {stream} is not open")
        elif not self._closed.get(stream):
            self._on_closed_stream(frame)
        return None

    def _on_closed_stream(self, frame: Frame) -> None:
        """The peer knows that the stream is closed, or has never opened it (RFC 9113 §5.1, §5.1.1)."""
        if frame.type != frames.DATA:
            code = frames.STREAM_CLOSED if frame.stream in self._closed else frames.PROTOCOL_ERROR
            raise Http2Error(code, f"headers on stream {frame.stream}, which is not open")
        self._glitch(glitches.RESET)
        self._reply(frames.rst_stream(frame.stream, frames.STREAM_CLOSED))

    def _on_remote_closed(self, stream: int, state: StreamState) -> None:
        state.remote_closed = True
        if state.end_frame and not state.queued:
            self._forget(stream, state, late=False)

    def _on_rst_stream(self, frame: Frame) -> None:
        code = frames.read_error_code(frame)
        if frame.stream == 0 or frame.stream > self._last_stream:
            raise Http2Error(frames.PROTOCOL_ERROR, f"a reset of stream {frame.stream}, which is not open")
        state = self._streams.get(frame.stream)
        if state is None:
            self._glitch(glitches.FRAME)
            return
        self._forget(frame.stream, state, late=False)
        self._events.append(StreamReset(frame.stream, code))
        self._glitch(glitches.RESET)  # a client that opens streams only to reset them

    def _on_settings(self, frame: Frame) -> None:
        values = frames.read_settings(frame)
        if frame.flags & frames.ACK or self.settings_received:
            self._glitch(glitches.FRAME if frame.flags & frames.ACK else glitches.RESET)
        if frame.flags & frames.ACK:
            return
        self.settings_received = True
        self._reply(frames.frame(frames.SETTINGS, frames.ACK, 0))  # before any data that only these settings allow
        for key, value in dict(values).items():  # the last value of each counts
            if key == frames.MAX_FRAME_SIZE:
                self._out.max_frame_size = value
            elif key == frames.INITIAL_WINDOW_SIZE:
                self._out.set_initial_window(value, self._streams.values())
            elif key == frames.MAX_CONCURRENT_STREAMS:
                self.max_streams = value

    def _on_ping(self, frame: Frame) -> None:
        if frame.stream or len(frame.payload) != 8:
            raise Http2Error(frames.PROTOCOL_ERROR if frame.stream else frames.FRAME_SIZE_ERROR, "a malformed PING")
        self._glitch(glitches.FRAME)
        if not frame.flags & frames.ACK:
            self._reply(frames.frame(frames.PING, frames.ACK, 0, frame.payload))

    def _on_priority(self, frame: Frame) -> None:
        if frame.stream == 0:
            raise Http2Error(frames.PROTOCOL_ERROR, "a PRIORITY without a stream")
        self._glitch(glitches.FRAME)
        if len(frame.payload) != 5:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "a PRIORITY whose payload is not 5 bytes")
        self._check_priority(frame, frame.payload)

    def _check_priority(self, frame: Frame, payload: bytes) -> None:
        if len(payload) >= 5 and frames.read_priority(payload) == frame.stream:
            raise Http2Error(frames.PROTOCOL_ERROR, f"stream {frame.stream} depends on itself")

    def _on_goaway(self, frame: Frame) -> None:
        self._glitch(glitches.FRAME)
        self._events.append(GoAwayReceived(*frames.read_goaway(frame)))

    def _on_window_update(self, frame: Frame) -> None:
        increment = frames.read_increment(frame)
        code = frames.FLOW_CONTROL_ERROR if increment else frames.PROTOCOL_ERROR
        self._glitch(glitches.FRAME)
        if frame.stream == 0:
            self._out.window += increment
            if increment == 0 or self._out.window > MAX_WINDOW:
                raise Http2Error(code, "a malformed window")
            return
        if frame.stream > self._last_stream:
            raise Http2Error(frames.PROTOCOL_ERROR, f"a window for stream {frame.stream}, which is not open")
        state = self._streams.get(frame.stream)
        if state is None:
            if increment == 0:
                self._glitch(glitches.RESET)
                self._reply(frames.rst_stream(frame.stream, code))
            return
        if increment == 0 or self._out.initial_window + state.credit + increment > MAX_WINDOW:
            self._stream_error(frame.stream, state, code)
            return
        state.credit += increment
        self._out.unblock(frame.stream, state)

    def _on_push_promise(self, frame: Frame) -> None:
        raise Http2Error(frames.PROTOCOL_ERROR, "a PUSH_PROMISE, although ENABLE_PUSH is 0")

    def _resume(self) -> None:
        """Send what larger windows allow."""
        drained, useful = self._out.resume()
        self._glitches.refill(useful * glitches.WINDOW_UPDATES)
        for stream, state in drained:
            if state.end_frame:
                self._end_our_side(stream, state)
            self._events.append(StreamDrained(stream))

    def _stream_error(self, stream: int, state: StreamState, code: int) -> None:
        self._forget(stream, state, late=not state.remote_closed)
        self._reply(frames.rst_stream(stream, code))
        self._events.append(StreamReset(stream, code))
        self._glitch(glitches.RESET)

    def _reply(self, frame: bytes) -> None:
        """Send a frame that the peer has caused. Those that the peer does not read are bounded."""
        self._replies += 1
        if self._replies > MAX_REPLIES:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many frames that request a reply")
        self._out.add(frame)


def _wrong_length(state: StreamState, size: int, end_stream: bool) -> bool:
    """Whether DATA is more than content-length has announced, or less at the end (RFC 9113 §8.1.1)."""
    if state.content_length < 0:
        return False
    if size > state.content_length:
        return True
    state.content_length -= size
    return end_stream and state.content_length > 0


_FRAME_HANDLERS = {
    frames.DATA: Http2Connection._on_data,
    frames.HEADERS: Http2Connection._on_headers,
    frames.CONTINUATION: Http2Connection._on_headers,
    frames.PRIORITY: Http2Connection._on_priority,
    frames.RST_STREAM: Http2Connection._on_rst_stream,
    frames.SETTINGS: Http2Connection._on_settings,
    frames.PUSH_PROMISE: Http2Connection._on_push_promise,
    frames.PING: Http2Connection._on_ping,
    frames.GOAWAY: Http2Connection._on_goaway,
    frames.WINDOW_UPDATE: Http2Connection._on_window_update,
}
