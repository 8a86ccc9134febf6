"""Core: one HTTP/2 connection, either side of it (RFC 9113). Bytes in, events out; `take` says what must be written.

There is no push, no priority and no upgrade: what a gRPC peer may send is understood, the rest ignored or refused as
the RFC says. Our own header blocks are literals without an index behind a table size of 0, so whatever table the peer
allows, ours fits. A violation ends the connection: `ConnectionFailed` is the last event, with the GOAWAY already in
`take`.
"""

from typing import Final

from runtime.grpc_wire import frames
from runtime.grpc_wire.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    GoAwayReceived,
    HeadersReceived,
    StreamDrained,
    StreamReset,
)
from runtime.grpc_wire.flow import LARGEST, START, FlowWindow, Http2Limits, StreamState
from runtime.grpc_wire.frames import Frame, FrameReader, Http2Error
from runtime.grpc_wire.headerblocks import BlockReader, Headers, encode

ANSWERS: Final = 1000  # PINGs, SETTINGS and refusals that may wait for a peer that does not read


class Http2Connection:
    """One side of one connection. The first `take` has the preface."""

    def __init__(self, client: bool, limits: Http2Limits | None = None) -> None:
        self.limits = limits = limits or Http2Limits()
        self._client = client
        self._reader = FrameReader(limits.frame, b"" if client else frames.PREFACE)
        self._blocks = BlockReader()
        self._streams: dict[int, StreamState] = {}
        self._newest = -1 if client else 0  # the newest stream that the client has opened
        self._credit = FlowWindow(limits.window)
        self._window = START
        self._initial = START
        self._largest = 16384
        self._settled = False  # the peer's first SETTINGS have come
        self._leaving = self._failed = False
        self._answers = 0
        self._resets = limits.resets  # that this client may still make
        self._events: list[Event] = []
        self._out: list[bytes] = [frames.PREFACE] if client else []
        values = {frames.INITIAL_WINDOW_SIZE: limits.stream_window, frames.MAX_FRAME_SIZE: limits.frame}
        values |= {frames.ENABLE_PUSH: 0} if client else {frames.MAX_CONCURRENT_STREAMS: limits.streams}
        self._out += [frames.settings(values), frames.window_update(0, limits.window - START)]

    # Saying ---------------------------------------------------------------------------------------------------------

    def take(self) -> bytes:
        """Everything that must be written now."""
        out, self._out, self._answers = b"".join(self._out), [], 0
        return out

    def open(self, headers: Headers) -> int:
        """A client's new stream; the answer is its number."""
        self._newest += 2
        self._streams[self._newest] = StreamState(self._initial, self.limits.stream_window)
        self.headers(self._newest, headers)
        return self._newest

    def headers(self, stream: int, headers: Headers) -> None:
        """Begin to speak on a stream. Ours fit into one frame. A stream that is over is left alone."""
        if stream in self._streams:
            self._out.append(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, encode(headers)))

    def send(self, stream: int, data: bytes) -> None:
        """Queue `data`, or send it where the windows allow. A stream that is over takes nothing."""
        one = self._streams.get(stream)
        if one is None or one.last:
            return
        size = len(data)
        if not one.queued and size <= one.window and size <= self._window and size <= self._largest:
            one.window -= size
            self._window -= size
            self._out += (frames.head(frames.DATA, 0, stream, size), data)
        else:
            one.add(data)
            self._advance(stream, one)

    def queued(self, stream: int) -> int:
        """Bytes that wait for the peer's credit."""
        one = self._streams.get(stream)
        return one.queued if one else 0

    def end(self, stream: int, trailers: Headers | None = None) -> None:
        """Say no more on this stream, behind what is queued."""
        one = self._streams.get(stream)
        if one is None or one.last:
            return
        if trailers is None:
            one.last = frames.frame(frames.DATA, frames.END_STREAM, stream)
        else:
            flags = frames.END_STREAM | frames.END_HEADERS
            one.last = frames.frame(frames.HEADERS, flags, stream, encode(trailers))
        self._advance(stream, one)

    def reset(self, stream: int, code: int) -> None:
        """End a stream both ways, at once. One that is over is left alone."""
        if self._streams.pop(stream, None) is not None:
            self._out.append(frames.reset(stream, code))

    def consumed(self, stream: int, size: int) -> None:
        """So much of a stream's data is off our hands: the peer may send that much again."""
        one = self._streams.get(stream)
        if one is not None and not one.remote_done and (more := one.credit.consumed(size)):
            self._out.append(frames.window_update(stream, more))

    def ping(self) -> None:
        """Ask whether anybody is there; whatever is heard then says so."""
        self._out.append(frames.frame(frames.PING, 0, 0, bytes(8)))

    def leave(self) -> None:
        """Take no new streams; those that are there go on."""
        if not self._leaving:
            self._leaving = True
            self._out.append(frames.goaway(max(self._newest, 0), frames.NO_ERROR))

    def _advance(self, stream: int, one: StreamState) -> None:
        while piece := one.take(min(self._window, self._largest)):
            self._window -= len(piece)
            self._out += (frames.head(frames.DATA, 0, stream, len(piece)), piece)
        if one.last and not one.queued:
            self._out.append(one.last)
            if one.remote_done or not self._client:
                self._forget(stream, one)

    def _forget(self, stream: int, one: StreamState) -> None:
        """Our side is over, and so is the stream: a server that has said all does not listen on (RFC 9113 §8.1)."""
        del self._streams[stream]
        self._resets = min(self._resets + 1, self.limits.resets)
        if not one.remote_done:
            self._out.append(frames.reset(stream, frames.NO_ERROR))

    # Hearing --------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """What `data` says, however it was split. Nothing after `ConnectionFailed` is looked at."""
        events = self._events = []
        if self._failed:
            return events
        try:
            for frame in self._reader.read(data):
                self._on_frame(frame)
        except Http2Error as violation:
            self._failed = True
            last = 0 if self._client else self._newest
            self._out.append(frames.goaway(last, violation.code, str(violation).encode()))
            events.append(ConnectionFailed(violation.code, str(violation)))
        return events

    def _on_frame(self, frame: Frame) -> None:
        kind = frame.kind
        if self._blocks.open and kind != frames.CONTINUATION:
            raise Http2Error(frames.PROTOCOL_ERROR, "a header block was interrupted")
        if not self._settled and kind != frames.SETTINGS:
            raise Http2Error(frames.PROTOCOL_ERROR, "the first frame must be SETTINGS")
        on_event = _FRAME_HANDLERS.get(kind)
        if on_event is not None:  # else a kind that we do not know, which must be ignored (§4.1)
            on_event(self, frame)

    def _on_data(self, frame: Frame) -> None:
        size = len(frame.payload)
        self._credit.spend(size)
        # The connection's window is shared: a reader that has stopped holds back its own stream, never others.
        if more := self._credit.consumed(size):
            self._out.append(frames.window_update(0, more))
        one = self._speaking(frame)
        if one is None:
            return
        try:
            one.credit.spend(size)
            content = frame.content() if frame.flags & frames.PADDED else frame.payload
        except Http2Error as violation:
            if violation.code != frames.FLOW_CONTROL_ERROR:
                raise
            self._refuse(frame.stream, violation.code)
            return
        ended = bool(frame.flags & frames.END_STREAM)
        self._events.append(DataReceived(frame.stream, content, size, ended))
        if ended:
            self._remote_ended(frame.stream, one)

    def _on_headers(self, frame: Frame) -> None:
        done = (self._blocks.begin if frame.kind == frames.HEADERS else self._blocks.go_on)(frame)
        if done is None:
            return
        headers, ended = done
        stream = frame.stream
        if not self._client and stream > self._newest and stream % 2:
            self._newest = stream
            if self._leaving or len(self._streams) >= self.limits.streams:
                self._answer(frames.reset(stream, frames.REFUSED_STREAM))
                return
            self._streams[stream] = StreamState(self._initial, self.limits.stream_window)
        one = self._speaking(frame)
        if one is None:
            return
        self._events.append(HeadersReceived(stream, headers, ended))
        if ended:
            self._remote_ended(stream, one)

    def _speaking(self, frame: Frame) -> StreamState | None:
        """The stream of this frame; None for one that is over, where a late frame is no news."""
        one = self._streams.get(frame.stream)
        if one is None:
            if frame.stream > self._newest or frame.stream % 2 == 0:
                raise Http2Error(frames.PROTOCOL_ERROR, f"stream {frame.stream} is not open")
        elif one.remote_done:
            self._refuse(frame.stream, frames.STREAM_CLOSED)
            return None
        return one

    def _remote_ended(self, stream: int, one: StreamState) -> None:
        one.remote_done = True
        if one.last and not one.queued:
            del self._streams[stream]

    def _on_reset(self, frame: Frame) -> None:
        code = frames.read_word(frame)
        if frame.stream == 0 or frame.stream > self._newest:
            raise Http2Error(frames.PROTOCOL_ERROR, f"a reset of stream {frame.stream}, which is not open")
        if self._streams.pop(frame.stream, None) is not None:
            self._events.append(StreamReset(frame.stream, code))
            self._count_reset()

    def _count_reset(self) -> None:
        """Opening streams only to reset them makes a server work for nothing (CVE-2023-44487)."""
        self._resets -= 1
        if self._resets < 0 and not self._client:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many streams were reset")

    def _on_settings(self, frame: Frame) -> None:
        values = frames.read_settings(frame)
        if frame.flags & frames.ACK:
            return
        self._settled = True
        self._answer(frames.frame(frames.SETTINGS, frames.ACK, 0))  # before any data that only they allow
        for key, value in values:
            if key == frames.MAX_FRAME_SIZE:
                self._largest = value
            elif key == frames.INITIAL_WINDOW_SIZE:
                self._change_initial(value)

    def _change_initial(self, size: int) -> None:
        more, self._initial = size - self._initial, size
        for one in self._streams.values():
            one.widen(more)
        self._advance_all()

    def _on_ping(self, frame: Frame) -> None:
        if frame.stream or len(frame.payload) != 8:
            raise Http2Error(frames.PROTOCOL_ERROR if frame.stream else frames.FRAME_SIZE_ERROR, "a malformed PING")
        if not frame.flags & frames.ACK:
            self._answer(frames.frame(frames.PING, frames.ACK, 0, frame.payload))

    def _on_goaway(self, frame: Frame) -> None:
        self._events.append(GoAwayReceived(*frames.read_goaway(frame)))

    def _on_window_update(self, frame: Frame) -> None:
        more = frames.read_word(frame)
        if frame.stream == 0:
            self._window += more
            if more == 0 or self._window > LARGEST:
                raise Http2Error(frames.FLOW_CONTROL_ERROR if more else frames.PROTOCOL_ERROR, "a malformed window")
            self._advance_all()
            return
        if frame.stream > self._newest:
            raise Http2Error(frames.PROTOCOL_ERROR, f"credit for stream {frame.stream}, which is not open")
        one = self._streams.get(frame.stream)
        if one is None:
            return
        if more == 0 or one.window + more > LARGEST:
            self._refuse(frame.stream, frames.FLOW_CONTROL_ERROR if more else frames.PROTOCOL_ERROR)
            return
        one.widen(more)
        self._advance_told(frame.stream, one)

    def _ignore_frame(self, frame: Frame) -> None:
        raise Http2Error(frames.PROTOCOL_ERROR, "a PUSH_PROMISE, which nobody allowed")

    def _advance_all(self) -> None:
        for stream, one in list(self._streams.items()):
            self._advance_told(stream, one)

    def _advance_told(self, stream: int, one: StreamState) -> None:
        if one.queued:
            self._advance(stream, one)
            if not one.queued:
                self._events.append(StreamDrained(stream))

    def _refuse(self, stream: int, code: int) -> None:
        del self._streams[stream]
        self._answer(frames.reset(stream, code))
        self._events.append(StreamReset(stream, code))

    def _answer(self, frame: bytes) -> None:
        """What a peer can make us write without reading any of it is bounded."""
        self._answers += 1
        if self._answers > ANSWERS:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many frames that want an answer")
        self._out.append(frame)


_FRAME_HANDLERS = {
    frames.DATA: Http2Connection._on_data,
    frames.HEADERS: Http2Connection._on_headers,
    frames.CONTINUATION: Http2Connection._on_headers,
    frames.RST_STREAM: Http2Connection._on_reset,
    frames.SETTINGS: Http2Connection._on_settings,
    frames.PUSH_PROMISE: Http2Connection._ignore_frame,
    frames.PING: Http2Connection._on_ping,
    frames.GOAWAY: Http2Connection._on_goaway,
    frames.WINDOW_UPDATE: Http2Connection._on_window_update,
}
