"""Whether this process was paused: stopped, suspended, or starved of CPU for so long that others may have moved on.

A tick of the process's own shows it: one that comes much later than it is due has waited for the process. Times are
seconds on CLOCK_BOOTTIME, which also counts suspended time.
"""

import asyncio
from collections.abc import Callable

TICK = 0.25  # seconds between two ticks
LIMIT = 1.0  # seconds between two ticks that count as a pause


class Pauses:
    """Remembers the last pause."""

    __slots__ = ("_clock", "_ended_at", "_last_tick")

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds."""
        self._clock = clock
        self._last_tick = clock()
        self._ended_at = float("-inf")

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            self.tick()
            await asyncio.sleep(TICK)

    def tick(self) -> None:
        """The process runs now."""
        now = self._clock()
        if now - self._last_tick > LIMIT:
            self._ended_at = now
        self._last_tick = now

    def paused_since(self, time: float) -> bool:
        """Whether a pause has ended after `time`, also one that no tick has seen yet."""
        self.tick()
        return self._ended_at > time
