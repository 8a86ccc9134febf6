"""Shell: batches by what has gathered.

What is wanted within one turn of the loop leaves at its end, in one message; while the previous message is still on
its way out (the kernel is full, or the peer gives no credit) it gathers on. So a batch grows with the load by itself,
and an idle stream adds no latency.

What nobody waits for alone may be *patient*: it gathers for some milliseconds, unless something else leaves before.
A message costs both its ends a wake-up, which is many times what one more answer in it costs.
"""

import asyncio
from collections.abc import Callable

from runtime.grpc_wire.call import Call


class Turn:
    """Calls `write` at the end of the turn in which something was wanted, when the stream can take it."""

    __slots__ = ("_call", "_later", "_loop", "_patience", "_soon", "_wanted", "_write")

    def __init__(self, write: Callable[[Call], None], patience: float = 0.0) -> None:
        """`patience`: seconds that what is wanted patiently waits at most."""
        self._write = write
        self._patience = patience
        self._call: Call | None = None
        self._wanted = False
        self._soon = False
        self._later = False
        self._loop = asyncio.get_running_loop()

    def carried_by(self, call: Call | None) -> None:
        """From now on this stream takes what is wanted; None: no stream does, and what was wanted is forgotten."""
        self._call = call
        self._wanted = self._wanted and call is not None
        self.again()

    def want(self, patient: bool = False) -> None:
        """Something has gathered."""
        self._wanted = True
        if self._soon or self._call is None or not self._call.writable:
            return
        if not patient:
            self._soon = True
            self._loop.call_soon(self._end)
        elif not self._later:
            self._later = True
            self._loop.call_later(self._patience, self._end_later)

    def again(self) -> None:
        """The stream is writable again."""
        if self._wanted:
            self.want()

    def _end(self) -> None:
        self._soon = False
        self._leave()

    def _end_later(self) -> None:
        self._later = False
        if not self._soon:
            self._leave()

    def _leave(self) -> None:
        call = self._call
        if self._wanted and call is not None and call.writable:
            self._wanted = False
            self._write(call)
