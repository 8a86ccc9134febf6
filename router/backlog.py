"""Shell: what waited in a socket while this router was paused is as old as the pause.

A router that was stopped reads, when it goes on, what callers had sent meanwhile: they have given up by then, or sent
it to another router. So what is read right after a pause counts as received before it, and its ttl with it; and the
table is compared with the store before it is used again (docs/design.md, "Order, healing, deadlines, dedup").
"""

import asyncio
import time
from collections.abc import Callable

from runtime.process.pauses import Pauses

READ_WITHIN = 0.001  # seconds: the next timers of a process that goes on run after its sockets were read once


class Backlog:
    """Notices pauses of this process, and knows how old what it reads may be."""

    def __init__(self, on_pause: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`on_pause`: called once for each pause, before anything that waited is used. `clock`: seconds."""
        self._on_pause = on_pause
        self._pauses = Pauses(clock, self._paused)
        self._since_ns: int | None = None  # while a backlog is read: when the pause began, at the earliest

    async def run(self) -> None:
        """Notice pauses, for ever."""
        await self._pauses.run()

    def received(self, now_ns: int) -> int:
        """When what is read at `now_ns` was received, at the earliest. ns on the clock."""
        if now_ns > self._pauses.due * 1e9:
            self._pauses.tick()
        return now_ns if self._since_ns is None else self._since_ns

    def _paused(self, last_tick: float) -> None:
        self._since_ns = round(last_tick * 1e9)
        self._on_pause()
        loop = asyncio.get_running_loop()
        # Timers run before sockets are read, and calls that were read are carried out after both: hence two steps.
        loop.call_later(READ_WITHIN, loop.call_soon, self._end)

    def _end(self) -> None:
        self._since_ns = None
