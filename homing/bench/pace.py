"""Open loop: messages leave when they are due, whatever became of those before; what was late is known."""

import asyncio
import time
from collections.abc import Callable

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
        self.began = time.perf_counter()
        sent = 0
        while sent < self.number:
            now = time.perf_counter()
            due = min(self.number, int((now - self.began) * self.rate) + 1)
            if due > sent:
                self.late += sum(1 for n in range(sent, due) if now - self.due(n) > LATE)
                send(list(range(sent, due)))
                sent = due
            await asyncio.sleep(max(0.0, self.due(sent) - time.perf_counter()))

    def due(self, n: int) -> float:
        """When the n-th is meant to leave, on time.perf_counter."""
        return self.began + n / self.rate

    @property
    def valid(self) -> bool:
        """Whether the generator kept up."""
        return self.late <= self.number * TOO_LATE


def quantiles(latencies: list[float]) -> dict[str, float]:
    """p50 and p99 in ms."""
    if not latencies:
        return {"p50_ms": float("nan"), "p99_ms": float("nan")}
    ordered = sorted(latencies)
    return {
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 3),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000, 3),
    }
