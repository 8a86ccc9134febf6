"""One HTTP/2 stream's flow control, both ways (RFC 9113 §5.2, §6.9).

What we may send is the smaller of the stream's window and the connection's. What the peer may send is given back to it
when it has been consumed, in halves of the window, so that a small message costs no WINDOW_UPDATE of its own.
"""

from collections import deque
from typing import Final, NamedTuple

from runtime.grpc_wire.frames import FLOW_CONTROL_ERROR, Http2Error
from runtime.grpc_wire.messages import LARGEST as LARGEST_MESSAGE

START: Final = 65535  # bytes: every window before anybody said otherwise
LARGEST: Final = 0x7FFFFFFF


class Http2Limits(NamedTuple):
    """What we let a peer do."""

    stream_window: int = 4 * 1024 * 1024  # bytes on the way to a reader that has stopped
    window: int = 16 * 1024 * 1024  # bytes on the way in all
    frame: int = 1024 * 1024  # bytes; a large batch in few frames
    streams: int = 100  # at a time
    message: int = LARGEST_MESSAGE  # bytes of one gRPC message
    resets: int = 1000  # streams that a client may reset beyond those that it let finish


class FlowWindow:
    """What the peer may still send, and what we owe it."""

    __slots__ = ("_consumed", "_left", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._consumed = 0

    def spend(self, size: int) -> None:
        """The peer has sent so much. Raises Violation when that was more than it may."""
        self._left -= size
        if self._left < 0:
            raise Http2Error(FLOW_CONTROL_ERROR, f"{-self._left} bytes above the window")

    def consumed(self, size: int) -> int:
        """So much of it is off our hands; the answer is the credit to give now, 0 for none yet."""
        self._consumed += size
        if 2 * self._consumed < self._size:
            return 0
        more, self._consumed = self._consumed, 0
        self._left += more
        return more


class StreamState:
    """What waits to be sent on one stream, and who has finished speaking."""

    __slots__ = ("_at", "_queue", "credit", "last", "queued", "remote_done", "window")

    def __init__(self, window: int, credit: int) -> None:
        self.window = window  # below 0 after the peer has made it smaller
        self.credit = FlowWindow(credit)
        self.queued = 0  # bytes
        self.last = b""  # the frame that ends our side, once it is known: sent behind the queue
        self.remote_done = False
        self._queue: deque[bytes] = deque()
        self._at = 0  # where in the first of the queue

    def add(self, data: bytes) -> None:
        """Queue it."""
        self._queue.append(data)
        self.queued += len(data)

    def widen(self, more: int) -> None:
        """The peer allows so much more. Raises Violation above what a window may be."""
        self.window += more
        if self.window > LARGEST:
            raise Http2Error(FLOW_CONTROL_ERROR, "a window above 2^31-1")

    def take(self, limit: int) -> bytes:
        """The next bytes of the queue, at most `limit` and never above the window; b"" when none may go."""
        limit = min(limit, self.window)
        if limit <= 0 or not self._queue:
            return b""
        first = self._queue[0]
        piece = first if self._at == 0 and len(first) <= limit else first[self._at : self._at + limit]
        self._at += len(piece)
        if self._at == len(first):
            self._queue.popleft()
            self._at = 0
        self.queued -= len(piece)
        self.window -= len(piece)
        return piece
