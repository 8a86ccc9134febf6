"""Core: what one side of an HTTP/2 connection sends, and the streams that are open on it.

`connection.Http2Connection` adds what it makes of received bytes.
"""

from typing import Final

from runtime.grpc_wire import frames, glitches
from runtime.grpc_wire.events import Http2Event, StreamReset
from runtime.grpc_wire.flow import DEFAULT_WINDOW, Http2Limits, ReceiveWindow, Reservations, StreamState
from runtime.grpc_wire.frames import Http2Error
from runtime.grpc_wire.glitches import GlitchBudget
from runtime.grpc_wire.header_blocks import HeaderFields, encode_headers
from runtime.grpc_wire.outbound import Outbound

MAX_REPLIES: Final = 1000  # acknowledgements and resets that wait for a peer that does not read
MAX_STREAM: Final = 0x7FFFFFFF
CLOSED_STREAMS: Final = 1000  # that are remembered: what comes on them late is told from what never may


class SendingSide:
    """One side of one connection. The first `data_to_send` has the preface."""

    def __init__(self, client: bool, limits: Http2Limits | None = None) -> None:
        self.limits = limits = limits or Http2Limits()
        self.settings_received = False
        self.max_streams = MAX_STREAM  # that the peer allows to be open at a time
        self._client = client
        self._streams: dict[int, StreamState] = {}
        self._closed: dict[int, bool] = {}  # by stream: whether the peer may not know yet that we have closed it
        self._last_stream = -1 if client else 0  # the newest stream that the client has opened
        self._receive_window = ReceiveWindow(limits.connection_window)
        self._reservations = Reservations(limits.unfinished)
        self._goaway_sent = False
        self._replies = 0  # in `_out`
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

    def data_to_send(self) -> bytes:
        """The bytes to write now."""
        self._replies = 0
        return self._out.take()

    @property
    def can_open_stream(self) -> bool:
        """As a client: whether the peer allows another stream now."""
        return len(self._streams) < self.max_streams and self._last_stream < MAX_STREAM

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

    def _glitch(self, cost: int) -> None:
        if not self._glitches.spend(cost) and not self._client:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

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
