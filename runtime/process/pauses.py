"""Whether this process was paused: stopped, suspended, or starved of CPU for so long that others may have moved on.

A tick of the process's own shows it: one that comes much later than it is due has waited for the process. Times are
seconds on the caller's clock; CLOCK_BOOTTIME also counts suspended time.
"""

import asyncio
from collections.abc import Callable

TICK = 0.25  # seconds between two ticks
LIMIT = 1.0  # seconds between two ticks that count as a pause


def ignore_pause(_last_tick: float) -> None:
    """For who asks `paused_since`."""


class Pauses:
    """Remembers the last pause."""

    __slots__ = ("_clock", "_ended_at", "_on_pause", "due")

    def __init__(self, clock: Callable[[], float], on_pause: Callable[[float], None] = ignore_pause) -> None:
        """`clock`: seconds. `on_pause`: called after each pause, with the time of the last tick before it."""
        self._clock = clock
        self._on_pause = on_pause
        self._ended_at = float("-inf")
        self.due = clock() + LIMIT  # a tick after this time shows a pause

    async def run(self) -> None:
        """Tick for ever. What came before, such as the start of the process, is no pause."""
        self.due = self._clock() + LIMIT
        while True:
            self.tick()
            await asyncio.sleep(TICK)

    def tick(self) -> None:
        """The process runs now."""
        now = self._clock()
        last_tick, self.due = self.due - LIMIT, now + LIMIT
        if now > last_tick + LIMIT:
            self._ended_at = now
            self._on_pause(last_tick)

    def paused_since(self, time: float) -> bool:
        """Whether a pause has ended after `time`, also one that no tick has seen yet."""
        self.tick()
        return self._ended_at > time
