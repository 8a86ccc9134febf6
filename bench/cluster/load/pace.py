"""Open loop: messages leave when they are due, whatever became of those before; what was late is known."""

import asyncio
import time
from collections.abc import Callable

from bench.cluster.load.ticks import Ticks

LATE = 0.02  # seconds behind its moment at which a message counts as late
TOO_LATE = 0.05  # the share of late messages past which a run says nothing


class Pace:
    """Calls `send(n, due)` for each n, `rate` times a second for `seconds`."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate = rate
        self.number = int(rate * seconds)
        self.late = 0
        self.began = 0.0

    async def run(self, send: Callable[[list[int]], None]) -> None:
        """`send` gets all that are due at once."""
        self.began = time.monotonic()
        sent = 0
        over = asyncio.Event()

        def tick() -> None:
            nonlocal sent
            now = time.monotonic()
            due = min(self.number, int((now - self.began) * self.rate) + 1)
            if due > sent:
                self.late += sum(1 for n in range(sent, due) if now - self.due(n) > LATE)
                send(list(range(sent, due)))
                sent = due
            if sent >= self.number:
                over.set()

        ticks = Ticks(1 / self.rate, tick)
        try:
            await over.wait()
        finally:
            ticks.close()

    def due(self, n: int) -> float:
        """When the n-th is meant to leave, on time.monotonic."""
        return self.began + n / self.rate

    def due_us(self, n: int) -> int:
        """The same in microseconds, as a push's data says it."""
        return int(self.due(n) * 1e6)

    @property
    def valid(self) -> bool:
        """Whether the generator kept up."""
        return self.late <= self.number * TOO_LATE
