"""Shell: batches by what has gathered, with no timer.

What is wanted within one turn of the loop leaves at its end, in one message; while the previous message is still on
its way out (the kernel is full, or the peer gives no credit) it gathers on. So a batch grows with the load by itself,
and an idle stream adds no latency.
"""

import asyncio
from collections.abc import Callable

from streams.call import Call


class Turn:
    """Calls `write` at the end of the turn in which something was wanted, when the stream can take it."""

    __slots__ = ("_call", "_loop", "_soon", "_wanted", "_write")

    def __init__(self, write: Callable[[Call], None]) -> None:
        self._write = write
        self._call: Call | None = None
        self._wanted = False
        self._soon = False
        self._loop = asyncio.get_running_loop()

    def carried_by(self, call: Call | None) -> None:
        """From now on this stream takes what is wanted; None: no stream does, and what was wanted is forgotten."""
        self._call = call
        self._wanted = self._wanted and call is not None
        self.again()

    def want(self) -> None:
        """Something has gathered."""
        self._wanted = True
        if not self._soon and self._call is not None and self._call.writable:
            self._soon = True
            self._loop.call_soon(self._end)

    def again(self) -> None:
        """The stream is writable again."""
        if self._wanted:
            self.want()

    def _end(self) -> None:
        self._soon = False
        call = self._call
        if self._wanted and call is not None and call.writable:
            self._wanted = False
            self._write(call)
