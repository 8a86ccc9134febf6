"""Core: one HTTP/2 connection, as a client or a server (RFC 9113): bytes in, events out, `data_to_send` after both.

There is no push, no priority and no upgrade: what a gRPC peer may send is processed, the rest is ignored or refused as
the RFC says. Our field blocks are literals that are not indexed, after a table size of 0, so any table of the peer
suffices. An error of the connection ends it: `ConnectionFailed` is the last event, and `data_to_send` has the GOAWAY.
"""

from typing import Final

from runtime.grpc_wire import frames
from runtime.grpc_wire.events import (
    ConnectionFailed,
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    Http2Event,
    StreamDrained,
    StreamReset,
)
from runtime.grpc_wire.flow import DEFAULT_WINDOW, MAX_WINDOW, Http2Limits, ReceiveWindow, StreamState
from runtime.grpc_wire.frames import Frame, FrameReader, Http2Error
from runtime.grpc_wire.header_blocks import HeaderBlockReader, HeaderFields, encode_headers

MAX_REPLIES: Final = 1000  # acknowledgements and resets that wait for a peer that does not read
DEFAULT_MAX_FRAME_SIZE: Final = 16384


class Http2Connection:
    """One side of one connection. The first `data_to_send` has the preface."""

    def __init__(self, client: bool, limits: Http2Limits | None = None) -> None:
        self.limits = limits = limits or Http2Limits()
        self._client = client
        self._reader = FrameReader(limits.max_frame_size, b"" if client else frames.PREFACE)
        self._blocks = HeaderBlockReader()
        self._streams: dict[int, StreamState] = {}
        self._last_stream = -1 if client else 0  # the newest stream that the client has opened
        self._receive_window = ReceiveWindow(limits.connection_window)
        self._send_window = DEFAULT_WINDOW
        self._initial_send_window = DEFAULT_WINDOW
        self._max_frame_size = DEFAULT_MAX_FRAME_SIZE
        self._settings_received = False
        self._goaway_sent = self._failed = False
        self._replies = 0  # in `_out`
        self._resets_left = limits.max_resets
        self._events: list[Http2Event] = []
        self._out: list[bytes] = [frames.PREFACE] if client else []
        values = {frames.INITIAL_WINDOW_SIZE: limits.stream_window, frames.MAX_FRAME_SIZE: limits.max_frame_size}
        values |= {frames.ENABLE_PUSH: 0} if client else {frames.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams}
        self._out += [frames.settings(values), frames.window_update(0, limits.connection_window - DEFAULT_WINDOW)]

    # Sending --------------------------------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """The bytes to write now."""
        out, self._out, self._replies = b"".join(self._out), [], 0
        return out

    def open_stream(self, headers: HeaderFields) -> int:
        """Open a stream, as a client. The result is its id."""
        self._last_stream += 2
        self._streams[self._last_stream] = StreamState(self._initial_send_window, self.limits.stream_window)
        self.send_headers(self._last_stream, headers)
        return self._last_stream

    def send_headers(self, stream: int, headers: HeaderFields) -> None:
        """Send headers, in one frame. A no-op on a closed stream."""
        if stream in self._streams:
            self._out.append(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, encode_headers(headers)))

    def send_data(self, stream: int, data: bytes) -> None:
        """Send data as far as the windows allow, and queue the rest. A no-op on a closed stream."""
        state = self._streams.get(stream)
        if state is None or state.end_frame:
            return
        size = len(data)
        at_once = size <= state.send_window and size <= self._send_window and size <= self._max_frame_size
        if at_once and not state.queued:
            state.send_window -= size
            self._send_window -= size
            self._out += (frames.frame_header(frames.DATA, 0, stream, size), data)
        else:
            state.queue_data(data)
            self._send_queued(stream, state)

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
            flags = frames.END_STREAM | frames.END_HEADERS
            state.end_frame = frames.frame(frames.HEADERS, flags, stream, encode_headers(trailers))
        self._send_queued(stream, state)

    def reset_stream(self, stream: int, code: int) -> None:
        """Close both sides of a stream, at once. A no-op on a closed stream."""
        if self._streams.pop(stream, None) is not None:
            self._out.append(frames.rst_stream(stream, code))

    def acknowledge_data(self, stream: int, size: int) -> None:
        """The application has consumed `size` flow-controlled bytes: raise the stream's window."""
        state = self._streams.get(stream)
        if state is None or state.remote_closed:
            return
        if increment := state.receive_window.on_consumed(size):
            self._out.append(frames.window_update(stream, increment))

    def ping(self) -> None:
        """Send a PING. Any bytes of the peer after it show that the peer is alive."""
        self._out.append(frames.frame(frames.PING, 0, 0, bytes(8)))

    def go_away(self) -> None:
        """Accept no new streams; the open ones continue."""
        if not self._goaway_sent:
            self._goaway_sent = True
            self._out.append(frames.goaway(max(self._last_stream, 0), frames.NO_ERROR))

    def _send_queued(self, stream: int, state: StreamState) -> None:
        while chunk := state.next_chunk(min(self._send_window, self._max_frame_size)):
            self._send_window -= len(chunk)
            self._out += (frames.frame_header(frames.DATA, 0, stream, len(chunk)), chunk)
        if state.end_frame and not state.queued:
            self._out.append(state.end_frame)
            if state.remote_closed or not self._client:
                self._close_stream(stream, state)

    def _close_stream(self, stream: int, state: StreamState) -> None:
        """Our side is closed, and with it the stream: a server that has answered reads no more (RFC 9113 §8.1)."""
        del self._streams[stream]
        self._resets_left = min(self._resets_left + 1, self.limits.max_resets)
        if not state.remote_closed:
            self._out.append(frames.rst_stream(stream, frames.NO_ERROR))

    # Receiving ------------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> list[Http2Event]:
        """The events in `data`, however it was split. None after `ConnectionFailed`."""
        events = self._events = []
        if self._failed:
            return events
        try:
            for frame in self._reader.read(data):
                self._on_frame(frame)
        except Http2Error as error:
            self._failed = True
            last_stream = 0 if self._client else self._last_stream
            self._out.append(frames.goaway(last_stream, error.code, str(error).encode()))
            events.append(ConnectionFailed(error.code, str(error)))
        return events

    def _on_frame(self, frame: Frame) -> None:
        if self._blocks.incomplete and frame.type != frames.CONTINUATION:
            raise Http2Error(frames.PROTOCOL_ERROR, "a header block was interrupted")
        if not self._settings_received and frame.type != frames.SETTINGS:
            raise Http2Error(frames.PROTOCOL_ERROR, "the first frame must be SETTINGS")
        handler = _FRAME_HANDLERS.get(frame.type)
        if handler is not None:  # else an unknown type, which must be ignored (RFC 9113 §4.1)
            handler(self, frame)

    def _on_data(self, frame: Frame) -> None:
        size = len(frame.payload)
        self._receive_window.on_received(size)
        # The connection's window is shared: a reader that has paused holds back its own stream, never others.
        if increment := self._receive_window.on_consumed(size):
            self._out.append(frames.window_update(0, increment))
        state = self._open_stream_of(frame)
        if state is None:
            return
        try:
            state.receive_window.on_received(size)
            content = frame.content() if frame.flags & frames.PADDED else frame.payload
        except Http2Error as error:
            if error.code != frames.FLOW_CONTROL_ERROR:
                raise
            self._stream_error(frame.stream, error.code)
            return
        end_stream = bool(frame.flags & frames.END_STREAM)
        self._events.append(DataReceived(frame.stream, content, size, end_stream))
        if end_stream:
            self._on_remote_closed(frame.stream, state)

    def _on_headers(self, frame: Frame) -> None:
        read = self._blocks.headers if frame.type == frames.HEADERS else self._blocks.continuation
        block = read(frame)
        if block is None:
            return
        headers, end_stream = block
        stream = frame.stream
        if not self._client and stream > self._last_stream and stream % 2:
            self._last_stream = stream
            if self._goaway_sent or len(self._streams) >= self.limits.max_concurrent_streams:
                self._reply(frames.rst_stream(stream, frames.REFUSED_STREAM))
                return
            self._streams[stream] = StreamState(self._initial_send_window, self.limits.stream_window)
        state = self._open_stream_of(frame)
        if state is None:
            return
        self._events.append(HeadersReceived(stream, headers, end_stream))
        if end_stream:
            self._on_remote_closed(stream, state)

    def _open_stream_of(self, frame: Frame) -> StreamState | None:
        """The stream of a frame, if the peer may still send on it. None: closed, where a late frame is ignored."""
        state = self._streams.get(frame.stream)
        if state is None:
            if frame.stream > self._last_stream or frame.stream % 2 == 0:
                raise Http2Error(frames.PROTOCOL_ERROR, f"stream {frame.stream} is not open")
        elif state.remote_closed:
            self._stream_error(frame.stream, frames.STREAM_CLOSED)
            return None
        return state

    def _on_remote_closed(self, stream: int, state: StreamState) -> None:
        state.remote_closed = True
        if state.end_frame and not state.queued:
            del self._streams[stream]

    def _on_rst_stream(self, frame: Frame) -> None:
        code = frames.read_error_code(frame)
        if frame.stream == 0 or frame.stream > self._last_stream:
            raise Http2Error(frames.PROTOCOL_ERROR, f"a reset of stream {frame.stream}, which is not open")
        if self._streams.pop(frame.stream, None) is not None:
            self._events.append(StreamReset(frame.stream, code))
            self._count_reset()

    def _count_reset(self) -> None:
        """A client that opens streams only to reset them makes a server work for nothing (CVE-2023-44487)."""
        self._resets_left -= 1
        if self._resets_left < 0 and not self._client:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many streams were reset")

    def _on_settings(self, frame: Frame) -> None:
        values = frames.read_settings(frame)
        if frame.flags & frames.ACK:
            return
        self._settings_received = True
        self._reply(frames.frame(frames.SETTINGS, frames.ACK, 0))  # before any data that only these settings allow
        for key, value in values:
            if key == frames.MAX_FRAME_SIZE:
                self._max_frame_size = value
            elif key == frames.INITIAL_WINDOW_SIZE:
                self._change_initial_window(value)

    def _change_initial_window(self, size: int) -> None:
        increment, self._initial_send_window = size - self._initial_send_window, size
        for state in self._streams.values():
            state.change_window(increment)
        self._resume_all()

    def _on_ping(self, frame: Frame) -> None:
        if frame.stream or len(frame.payload) != 8:
            raise Http2Error(frames.PROTOCOL_ERROR if frame.stream else frames.FRAME_SIZE_ERROR, "a malformed PING")
        if not frame.flags & frames.ACK:
            self._reply(frames.frame(frames.PING, frames.ACK, 0, frame.payload))

    def _on_goaway(self, frame: Frame) -> None:
        self._events.append(GoAwayReceived(*frames.read_goaway(frame)))

    def _on_window_update(self, frame: Frame) -> None:
        increment = frames.read_increment(frame)
        code = frames.FLOW_CONTROL_ERROR if increment else frames.PROTOCOL_ERROR
        if frame.stream == 0:
            self._send_window += increment
            if increment == 0 or self._send_window > MAX_WINDOW:
                raise Http2Error(code, "a malformed window")
            self._resume_all()
            return
        if frame.stream > self._last_stream:
            raise Http2Error(frames.PROTOCOL_ERROR, f"a window for stream {frame.stream}, which is not open")
        state = self._streams.get(frame.stream)
        if state is None:
            return
        if increment == 0 or state.send_window + increment > MAX_WINDOW:
            self._stream_error(frame.stream, code)
            return
        state.change_window(increment)
        self._resume(frame.stream, state)

    def _on_push_promise(self, frame: Frame) -> None:
        raise Http2Error(frames.PROTOCOL_ERROR, "a PUSH_PROMISE, although ENABLE_PUSH is 0")

    def _resume_all(self) -> None:
        for stream, state in list(self._streams.items()):
            self._resume(stream, state)

    def _resume(self, stream: int, state: StreamState) -> None:
        """Send what a larger window allows."""
        if state.queued:
            self._send_queued(stream, state)
            if not state.queued:
                self._events.append(StreamDrained(stream))

    def _stream_error(self, stream: int, code: int) -> None:
        del self._streams[stream]
        self._reply(frames.rst_stream(stream, code))
        self._events.append(StreamReset(stream, code))

    def _reply(self, frame: bytes) -> None:
        """Send a frame that the peer has caused. Those that the peer does not read are bounded."""
        self._replies += 1
        if self._replies > MAX_REPLIES:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many frames that request a reply")
        self._out.append(frame)


_FRAME_HANDLERS = {
    frames.DATA: Http2Connection._on_data,
    frames.HEADERS: Http2Connection._on_headers,
    frames.CONTINUATION: Http2Connection._on_headers,
    frames.RST_STREAM: Http2Connection._on_rst_stream,
    frames.SETTINGS: Http2Connection._on_settings,
    frames.PUSH_PROMISE: Http2Connection._on_push_promise,
    frames.PING: Http2Connection._on_ping,
    frames.GOAWAY: Http2Connection._on_goaway,
    frames.WINDOW_UPDATE: Http2Connection._on_window_update,
}
