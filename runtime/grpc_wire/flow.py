"""Flow control of HTTP/2, both ways (RFC 9113 §5.2, §6.9).

We may send as much as both the stream's window and the connection's allow. The peer's window is raised when the data
has been consumed, by half of the window at least, so that a small message costs no WINDOW_UPDATE of its own.
"""

from collections import deque
from typing import Final, NamedTuple

from runtime.grpc_wire.frames import FLOW_CONTROL_ERROR, Http2Error
from runtime.grpc_wire.messages import MAX_MESSAGE_SIZE

DEFAULT_WINDOW: Final = 65535  # bytes, of every window before SETTINGS and WINDOW_UPDATE
MAX_WINDOW: Final = 0x7FFFFFFF


class Http2Limits(NamedTuple):
    """What we allow a peer."""

    stream_window: int = 4 * 1024 * 1024  # bytes of one stream that are not consumed yet
    connection_window: int = 16 * 1024 * 1024  # the same of all streams
    max_frame_size: int = 1024 * 1024  # bytes; so a large batch takes few frames
    max_concurrent_streams: int = 100
    max_message_size: int = MAX_MESSAGE_SIZE  # bytes of one gRPC message
    max_resets: int = 1000  # streams that a client may reset beyond those that it has let finish


class ReceiveWindow:
    """What the peer may still send, on a stream or on the connection."""

    __slots__ = ("_available", "_consumed", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._available = size
        self._consumed = 0  # and not given back yet

    def on_received(self, size: int) -> None:
        """The peer has sent `size` bytes. Http2Error when the window allowed less."""
        self._available -= size
        if self._available < 0:
            raise Http2Error(FLOW_CONTROL_ERROR, f"{-self._available} bytes above the window")

    def on_consumed(self, size: int) -> int:
        """The application has consumed `size` bytes. The result: the increment to send now, 0 for none yet."""
        self._consumed += size
        if 2 * self._consumed < self._size:
            return 0
        increment, self._consumed = self._consumed, 0
        self._available += increment
        return increment


class StreamState:
    """One stream: its windows, the data that waits for the peer's window, and which sides are closed."""

    __slots__ = ("_offset", "_queue", "end_frame", "queued", "receive_window", "remote_closed", "send_window")

    def __init__(self, send_window: int, receive_window: int) -> None:
        self.send_window = send_window  # below 0 after the peer has lowered its initial window
        self.receive_window = ReceiveWindow(receive_window)
        self.queued = 0  # bytes
        self.end_frame = b""  # the frame that closes our side, to be sent after the queue; empty: our side is open
        self.remote_closed = False
        self._queue: deque[bytes] = deque()
        self._offset = 0  # in the first element of the queue

    def queue_data(self, data: bytes) -> None:
        """Queue data until the window allows it."""
        self._queue.append(data)
        self.queued += len(data)

    def change_window(self, increment: int) -> None:
        """The peer has changed the window. Http2Error above the largest window."""
        self.send_window += increment
        if self.send_window > MAX_WINDOW:
            raise Http2Error(FLOW_CONTROL_ERROR, "a window above 2^31-1")

    def next_chunk(self, limit: int) -> bytes:
        """The next queued bytes, at most `limit` and within the window; b"" when none may be sent."""
        limit = min(limit, self.send_window)
        if limit <= 0 or not self._queue:
            return b""
        first = self._queue[0]
        chunk = first if self._offset == 0 and len(first) <= limit else first[self._offset : self._offset + limit]
        self._offset += len(chunk)
        if self._offset == len(first):
            self._queue.popleft()
            self._offset = 0
        self.queued -= len(chunk)
        self.send_window -= len(chunk)
        return chunk
