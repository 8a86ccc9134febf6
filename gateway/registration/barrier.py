"""Connected means reachable: waits until every router's table holds a batch (docs/design.md).

A router sends on its stream the newest batch of this incarnation that its table holds. A client gets "connected" only
when all routers with a stream have acknowledged its batch, or after a quarter of a second.
"""

import asyncio
from collections.abc import Hashable

ACK_LIMIT = 0.25  # seconds; a router that lags longer is counted, and its misses are healed by reading


class RouteAckBarrier:
    """What each router's table holds, and who waits for it. A router is known by its stream."""

    def __init__(self, limit: float = ACK_LIMIT) -> None:
        """`limit`: seconds that one waits at most."""
        self._limit = limit
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[asyncio.Future[bool], int] = {}
        self._linked = asyncio.Event()
        self.timeouts = 0  # waits that ended before every router had acknowledged

    def opened(self, stream: Hashable, batch: int) -> None:
        """A router's stream is open; its table holds `batch`."""
        self._held[stream] = batch
        self._linked.set()

    def acknowledged(self, stream: Hashable, batch: int) -> None:
        """A router's table holds `batch` and everything before it."""
        if stream in self._held and batch > self._held[stream]:
            self._held[stream] = batch
            self._wake()

    def closed(self, stream: Hashable) -> None:
        """A router's stream is gone: nobody waits for it any more."""
        if self._held.pop(stream, None) is not None:
            self._wake()

    def forget_all(self) -> None:
        """A new incarnation has begun: the streams of the old one say nothing about its batches."""
        self._held.clear()
        self._linked.clear()
        self._wake()

    async def wait_linked(self) -> None:
        """Until a router has opened a stream in this incarnation."""
        await self._linked.wait()

    def holds(self, batch: int) -> bool:
        """Whether every router's table holds `batch` now."""
        return all(held >= batch for held in self._held.values())

    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    async def wait_reachable(self, batch: int) -> bool:
        """Until every router's table holds `batch`; False when the limit came first."""
        if self.holds(batch):
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()  # whether it was in time
        self._waiting[future] = batch
        timer = loop.call_later(self._limit, _expire, future)
        try:
            in_time = await future
        finally:
            timer.cancel()
            self._waiting.pop(future, None)
        self.timeouts += not in_time
        return in_time

    def _wake(self) -> None:
        lowest = min(self._held.values(), default=None)
        for future, batch in list(self._waiting.items()):
            if (lowest is None or batch <= lowest) and not future.done():
                future.set_result(True)


def _expire(future: "asyncio.Future[bool]") -> None:
    if not future.done():
        future.set_result(False)
