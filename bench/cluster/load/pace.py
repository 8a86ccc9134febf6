"""Open-loop pacing: messages leave when they are due, whatever became of earlier ones; late messages are counted."""

import asyncio
import time
from collections.abc import Callable

from bench.cluster.load.periodic_timer import PeriodicTimer

LATE_AFTER = 0.02  # seconds behind its due time at which a message counts as late
MAX_LATE_SHARE = 0.05  # a run with a larger share of late messages is invalid


class Pace:
    """Sends `rate` messages a second for `seconds`."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate = rate
        self.total = int(rate * seconds)
        self.late = 0
        self.started_at = 0.0  # time.monotonic

    async def run(self, send: Callable[[list[int]], None]) -> None:
        """Call `send` with the numbers of all messages that have become due, until the last one."""
        self.started_at = time.monotonic()
        sent = 0
        finished = asyncio.Event()

        def on_tick() -> None:
            nonlocal sent
            now = time.monotonic()
            due = min(self.total, int((now - self.started_at) * self.rate) + 1)
            if due > sent:
                self.late += sum(1 for n in range(sent, due) if now - self.due_at(n) > LATE_AFTER)
                send(list(range(sent, due)))
                sent = due
            if sent >= self.total:
                finished.set()

        timer = PeriodicTimer(1 / self.rate, on_tick)
        try:
            await finished.wait()
        finally:
            timer.close()

    def due_at(self, n: int) -> float:
        """The time at which message n is due, on time.monotonic."""
        return self.started_at + n / self.rate

    def due_us(self, n: int) -> int:
        """The same in microseconds, as in a push's data."""
        return int(self.due_at(n) * 1e6)

    @property
    def valid(self) -> bool:
        """Whether the generator kept the pace."""
        return self.late <= self.total * MAX_LATE_SHARE
