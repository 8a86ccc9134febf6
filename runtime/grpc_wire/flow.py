"""Core: flow control of HTTP/2, both ways (RFC 9113 §5.2, §6.9), and what a peer may make us keep.

We may send as much as both the stream's window and the connection's allow. What we have received and not handled yet
is *held*; a window and what it holds are together never more than its size, so the windows that we announce bound our
memory. A window is raised by half of its size at least, so that a small message costs no WINDOW_UPDATE of its own.
"""

from collections import deque
from typing import Final, NamedTuple

from runtime.grpc_wire.frames import FLOW_CONTROL_ERROR, Http2Error
from runtime.grpc_wire.messages import MAX_MESSAGE_SIZE

DEFAULT_WINDOW: Final = 65535  # bytes, of every window before SETTINGS and WINDOW_UPDATE
MAX_WINDOW: Final = 0x7FFFFFFF


class Http2Limits(NamedTuple):
    """What we allow a peer."""

    stream_window: int = 1024 * 1024  # bytes of one stream that are not handled yet
    unfinished: int = MAX_MESSAGE_SIZE  # bytes beyond it, of all messages that are larger than the stream's window
    max_frame_size: int = 1024 * 1024  # bytes; so a large batch takes few frames
    max_concurrent_streams: int = 100
    max_message_size: int = MAX_MESSAGE_SIZE  # bytes of one gRPC message, not above `unfinished`
    max_header_list: int = 64 * 1024  # bytes as RFC 9113 §6.5.2 counts them; a larger request is refused
    max_unsent: int = 2 * MAX_MESSAGE_SIZE  # bytes that wait for a peer that does not read; more reset their stream
    glitches: int = 10_000  # see `runtime.grpc_wire.glitches`

    @property
    def connection_window(self) -> int:
        """Bytes of one connection that are not handled yet, at most."""
        return min(self.stream_window * self.max_concurrent_streams + self.unfinished, MAX_WINDOW)


class ReceiveWindow:
    """What the peer may still send, on a stream or on the connection, and what is held of what it has sent."""

    __slots__ = ("_size", "available", "held")

    def __init__(self, size: int) -> None:
        self._size = size
        self.available = size  # what the peer may send
        self.held = 0

    def on_received(self, size: int) -> None:
        """The peer has sent `size` bytes. Http2Error when the window allowed less."""
        if size > self.available:
            raise Http2Error(FLOW_CONTROL_ERROR, f"{size - self.available} bytes above the window")
        self.available -= size
        self.held += size

    def on_handled(self, size: int) -> int:
        """`size` bytes are held no more. The result: the increment to send now, 0 for none yet."""
        self.held -= size
        increment = self._size - self.held - self.available
        if 2 * increment < self._size:
            return 0
        self.available += increment
        return increment

    def refill(self) -> int:
        """Allow as much as the size does. The result: the increment to send now, 0 for none."""
        increment = max(self._size - self.held - self.available, 0)
        self.available += increment
        return increment

    def extend(self, size: int) -> None:
        """Allow `size` bytes beyond the window's size, once."""
        self.available += size


class StreamState:
    """One stream: its windows, the data that waits for the peer's window, and which sides are closed."""

    __slots__ = (
        *("_offset", "_queue", "content_length", "credit", "end_frame", "headers_received", "queued"),
        *("receive_window", "remote_closed"),
    )

    def __init__(self, receive_window: int) -> None:
        self.credit = 0  # bytes that we may send beyond the peer's initial window; below 0 for what we have sent of it
        self.receive_window = ReceiveWindow(receive_window)
        self.queued = 0  # bytes
        self.end_frame = b""  # the frame that closes our side, to be sent after the queue; empty: our side is open
        self.headers_received = False
        self.remote_closed = False
        self.content_length = -1  # bytes of DATA that the peer has announced and not sent; below 0: not announced
        self._queue: deque[bytes] = deque()
        self._offset = 0  # in the first element of the queue

    def queue_data(self, data: bytes) -> None:
        """Queue data until the windows allow it."""
        self._queue.append(data)
        self.queued += len(data)

    def next_chunk(self, limit: int) -> bytes:
        """The next queued bytes, at most `limit`; b"" when nothing may be sent."""
        if limit <= 0 or not self._queue:
            return b""
        first = self._queue[0]
        chunk = first if self._offset == 0 and len(first) <= limit else first[self._offset : self._offset + limit]
        self._offset += len(chunk)
        if self._offset == len(first):
            self._queue.popleft()
            self._offset = 0
        self.queued -= len(chunk)
        self.credit -= len(chunk)
        return chunk


class Reservations:
    """Shares `Http2Limits.unfinished` among messages that are larger than their stream's window, first come first."""

    __slots__ = ("_free", "_taken", "_waiting")

    def __init__(self, size: int) -> None:
        self._free = size  # bytes
        self._taken: dict[int, int] = {}  # bytes by stream
        self._waiting: dict[int, int] = {}

    def take(self, stream: int, size: int) -> bool:
        """Whether the stream may send `size` bytes beyond its window now. If not, `release` says when."""
        if stream in self._taken or stream in self._waiting:
            return False
        if self._waiting or size > self._free:
            self._waiting[stream] = size
            return False
        self._free -= size
        self._taken[stream] = size
        return True

    def release(self, stream: int) -> list[tuple[int, int]]:
        """The stream's message is complete, or the stream has ended. The result: who may now send how many bytes."""
        if stream not in self._taken:
            self._waiting.pop(stream, None)
            return []
        self._free += self._taken.pop(stream)
        granted = []
        for waiting, size in list(self._waiting.items()):
            if size > self._free:
                break
            del self._waiting[waiting]
            self._free -= size
            self._taken[waiting] = size
            granted.append((waiting, size))
        return granted
