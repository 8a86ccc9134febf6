"""Shell: batches writes to one stream.

Writes requested within one iteration of the event loop leave at its end, in one message. While the previous message is
still being sent (the kernel's buffer is full, or the peer's flow-control window is empty) requests accumulate. So a
batch grows with the load, and an idle stream adds no latency.

A request may *linger*, as in a Kafka producer: its write then waits some milliseconds, unless another write leaves
earlier. One message costs each end a wake-up, which is many times the cost of one more item in it.
"""

import asyncio
from collections.abc import Callable

from runtime.grpc_wire.call import Call


class WriteBatcher:
    """Calls `write` at the end of the loop iteration in which a write was requested, once the stream is writable."""

    __slots__ = ("_call", "_flush_scheduled", "_linger", "_linger_scheduled", "_loop", "_requested", "_write")

    def __init__(self, write: Callable[[Call], None], linger: float = 0.0) -> None:
        """`linger`: seconds that a lingering request waits at most."""
        self._write = write
        self._linger = linger
        self._call: Call | None = None
        self._requested = False
        self._flush_scheduled = False
        self._linger_scheduled = False
        self._loop = asyncio.get_running_loop()

    def attach(self, call: Call | None) -> None:
        """Write to this stream from now on; None: no stream is open, and a pending request is dropped."""
        self._call = call
        self._requested = self._requested and call is not None
        self.resume()

    def request_write(self, linger: bool = False) -> None:
        """Schedule a write; with `linger` it may wait for others, at most the linger time."""
        self._requested = True
        if self._flush_scheduled or self._call is None or not self._call.writable:
            return
        if not linger:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_now)
        elif not self._linger_scheduled:
            self._linger_scheduled = True
            self._loop.call_later(self._linger, self._flush_after_linger)

    def resume(self) -> None:
        """The stream is writable again."""
        if self._requested:
            self.request_write()

    def _flush_now(self) -> None:
        self._flush_scheduled = False
        self._flush()

    def _flush_after_linger(self) -> None:
        self._linger_scheduled = False
        if not self._flush_scheduled:
            self._flush()

    def _flush(self) -> None:
        call = self._call
        if self._requested and call is not None and call.writable:
            self._requested = False
            self._write(call)
