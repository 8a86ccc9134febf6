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
from runtime.grpc_wire.flow import MAX_WINDOW, Http2Limits, StreamState
from runtime.grpc_wire.frames import Frame, FrameReader, Http2Error
from runtime.grpc_wire.header_blocks import HeaderBlockReader, HeaderFields, header_list_size
from runtime.grpc_wire.request_rules import content_length, malformed_request, malformed_trailers
from runtime.grpc_wire.sending_side import SendingSide

WORK_PER_CALL: Final = 1000  # units of work in one call of `receive_data`; one is some microseconds
HEADERS_WORK: Final = 20  # of a request: its call, its answer
FIELD_WORK: Final = 2


class Http2Connection(SendingSide):
    """One side of one connection, whole."""

    def __init__(self, client: bool, limits: Http2Limits | None = None) -> None:
        super().__init__(client, limits)
        self.has_unprocessed = False  # `receive_data(b"")` goes on with what was received
        self._reader = FrameReader(self.limits.max_frame_size, b"" if client else frames.PREFACE)
        self._blocks = HeaderBlockReader()
        self._work = 0  # left in this call of `receive_data`
        self._failed = False

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
