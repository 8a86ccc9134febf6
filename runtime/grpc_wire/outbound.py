"""Core: the sending half of a connection: frames in order, and data as the peer's windows allow.

Streams whose data waits for a window are looked at once in a call of `receive_data`, whatever the peer sends in it,
and only those that may go on: so the work for a WINDOW_UPDATE or SETTINGS does not grow with the streams that are open
(CVE-2019-9511, CVE-2019-9517).
"""

from collections.abc import Iterable

from runtime.grpc_wire import frames
from runtime.grpc_wire.flow import DEFAULT_WINDOW, MAX_WINDOW, StreamState
from runtime.grpc_wire.frames import Http2Error
from runtime.grpc_wire.glitches import USEFUL_CHUNK

DEFAULT_MAX_FRAME_SIZE = 16384


class Outbound:
    """What leaves, and what waits."""

    __slots__ = ("_blocked", "_frames", "_ready", "initial_window", "max_frame_size", "queued", "unwritten", "window")

    def __init__(self) -> None:
        self.window = DEFAULT_WINDOW  # the connection's
        self.initial_window = DEFAULT_WINDOW  # of each stream, by the peer's SETTINGS
        self.max_frame_size = DEFAULT_MAX_FRAME_SIZE
        self.queued = 0  # bytes of data that wait for a window
        self.unwritten = 0  # bytes of data and headers in frames that `take` has not returned
        self._frames: list[bytes] = []
        self._blocked: dict[int, StreamState] = {}  # streams with queued data whose own window is used up
        self._ready: dict[int, StreamState] = {}  # those that wait for the connection's window, or for `resume`

    @property
    def may_resume(self) -> bool:
        """Whether data waits that `resume` may send."""
        return bool(self._ready)

    def take(self) -> bytes:
        """The bytes to write now."""
        data, self._frames, self.unwritten = b"".join(self._frames), [], 0
        return data

    def add(self, *data: bytes) -> None:
        """Add whole frames."""
        self._frames += data

    def add_headers(self, stream: int, block: bytes, flags: int = 0) -> None:
        """Add a field block, in as many frames as the peer's limit takes."""
        self._frames.append(frames.header_frames(stream, block, flags, self.max_frame_size))
        self.unwritten += len(block)

    def send(self, stream: int, state: StreamState, data: bytes) -> None:
        """Send data as far as the windows allow, and queue the rest."""
        size = len(data)
        fits = size <= self.initial_window + state.credit and size <= self.window and size <= self.max_frame_size
        if fits and not state.queued:
            state.credit -= size
            self._add_data(stream, data)
            return
        waits = state.queued > 0
        state.queue_data(data)
        self.queued += size
        if not waits:
            while self._send_chunk(stream, state):
                pass

    def unblock(self, stream: int, state: StreamState) -> None:
        """The stream's window has grown: `resume` looks at it."""
        if self._blocked.pop(stream, None) is not None:
            self._ready[stream] = state

    def set_initial_window(self, size: int, states: Iterable[StreamState]) -> None:
        """The peer's SETTINGS. Http2Error when a stream's window becomes too large (RFC 9113 §6.9.2)."""
        if size > self.initial_window:
            if any(size + state.credit > MAX_WINDOW for state in states):
                raise Http2Error(frames.FLOW_CONTROL_ERROR, "a window above 2^31-1")
            self._ready |= self._blocked
            self._blocked.clear()
        self.initial_window = size

    def forget(self, stream: int, state: StreamState) -> None:
        """The stream has ended: what it has queued is not sent."""
        if state.queued:
            self.queued -= state.queued
            self._blocked.pop(stream, None)
            self._ready.pop(stream, None)

    def resume(self) -> tuple[list[tuple[int, StreamState]], int]:
        """Send what the windows allow, a frame of each stream in turn.

        The result: the streams that have no more queued data, and how many frames were worth their window update.
        """
        drained: list[tuple[int, StreamState]] = []
        useful = 0
        while self._ready and self.window > 0:
            stream, state = next(iter(self._ready.items()))
            size = self._send_chunk(stream, state)
            useful += size >= USEFUL_CHUNK or not state.queued
            if not state.queued:
                drained.append((stream, state))
        return drained, useful

    def _send_chunk(self, stream: int, state: StreamState) -> int:
        """Send one frame of what is queued, and put the stream where it now waits. The result: its bytes."""
        room = self.initial_window + state.credit
        chunk = state.next_chunk(min(self.window, room, self.max_frame_size))
        self._ready.pop(stream, None)
        if chunk:
            self.queued -= len(chunk)
            self._add_data(stream, chunk)
        if state.queued:
            waiting = self._ready if room > len(chunk) else self._blocked
            waiting[stream] = state
        return len(chunk)

    def _add_data(self, stream: int, data: bytes) -> None:
        size = len(data)
        self.window -= size
        self.unwritten += size
        self._frames += (frames.frame_header(frames.DATA, 0, stream, size), data)
