"""Connected means reachable: waits until every router's table holds a batch (docs/design.md).

A router sends on its stream the newest batch of this incarnation that its table holds. A client gets "connected" only
when all routers with a stream have acknowledged its batch, or after a quarter of a second. A router that has not by
then *lags*: from that moment until it has caught up it must scatter to this node, or its pushes would leave out who was
admitted without it. Nobody waits for a router that has lagged for a second.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator

ACK_LIMIT = 0.25  # seconds; a router that lags longer is counted, and scatters here
WAIT_FOR = 1.0  # seconds for which a lagging router is waited for


class _Lag:
    """What a router has missed: it lags until its table holds `batch`."""

    __slots__ = ("batch", "first", "since")

    def __init__(self, batch: int, since: float) -> None:
        self.batch = self.first = batch
        self.since = since  # loop time


def ignore_lag(_stream: Hashable, _lags: bool) -> None:
    """For who has no stream to tell."""


class RouteAckBarrier:
    """What each router's table holds, and who waits for it. A router is known by its stream."""

    def __init__(
        self,
        limit: float = ACK_LIMIT,
        on_lag: Callable[[Hashable, bool], None] = ignore_lag,
        wait_for: float = WAIT_FOR,
    ) -> None:
        """`limit`: seconds that one waits at most. `on_lag`: called when a router begins to lag, and when it has caught
        up. `wait_for`: seconds after which a lagging router is waited for no more."""
        self._limit = limit
        self._on_lag = on_lag
        self._wait_for = wait_for
        self._newest = 0  # the newest batch that clients were told of
        self._held: dict[Hashable, int] = {}
        self._lagging: dict[Hashable, _Lag] = {}
        self._waiting: dict[asyncio.Future[bool], int] = {}
        self._linked = asyncio.Event()
        self.timeouts = 0  # waits that ended before every router had acknowledged

    def opened(self, stream: Hashable, batch: int) -> None:
        """A router's stream is open; its table holds `batch`."""
        self._held[stream] = batch
        self._linked.set()
        self._mark_lagging(self._newest)

    def acknowledged(self, stream: Hashable, batch: int) -> None:
        """A router's table holds `batch` and everything before it."""
        if stream in self._held and batch > self._held[stream]:
            self._held[stream] = batch
            lag = self._lagging.get(stream)
            if lag is not None and batch >= lag.batch:
                del self._lagging[stream]
                self._on_lag(stream, False)
            elif (
                lag is not None and batch >= lag.first
            ):  # it follows: it is waited for again, or it would never catch up
                lag.first, lag.since = lag.batch, asyncio.get_running_loop().time()
            self._wake()

    def closed(self, stream: Hashable) -> None:
        """A router's stream is gone: nobody waits for it any more."""
        self._lagging.pop(stream, None)
        if self._held.pop(stream, None) is not None:
            self._wake()

    def forget_all(self) -> None:
        """A new incarnation has begun: the streams of the old one say nothing about its batches."""
        self._newest = 0
        self._held.clear()
        self._lagging.clear()
        self._linked.clear()
        self._wake()
        self._waiting.clear()

    async def wait_linked(self) -> None:
        """Until a router has opened a stream in this incarnation."""
        await self._linked.wait()

    def holds(self, batch: int) -> bool:
        """Whether every router's table holds `batch` now, also those that nobody waits for any more."""
        return not any(True for _ in self._behind(batch))

    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    async def wait_reachable(self, batch: int) -> bool:
        """Until every router's table holds `batch`; False when the limit came first. Either way a router that does not
        hold it lags, and scatters."""
        if not self._is_waited_for(batch):
            self._mark_lagging(batch)
            return True
        return await self._wait(batch)

    async def _wait(self, batch: int) -> bool:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()  # whether it was in time
        self._waiting[future] = batch
        timer = loop.call_later(self._limit, _expire, future)
        try:
            in_time = await future
        finally:
            timer.cancel()
            forgotten = self._waiting.pop(future, None) is None
        if not forgotten:  # else the batch is one of the incarnation before
            self._mark_lagging(batch)
        self.timeouts += not in_time
        return in_time

    def _behind(self, batch: int) -> Iterator[Hashable]:
        return (stream for stream, held in self._held.items() if held < batch)

    def _is_waited_for(self, batch: int) -> bool:
        """Whether a router that still counts does not hold `batch`."""
        lowest = self._lowest()
        return lowest is not None and lowest < batch

    def _lowest(self) -> int | None:
        """What every router holds that is waited for; None: there is none."""
        if not self._lagging:
            return min(self._held.values(), default=None)
        return min((held for stream, held in self._held.items() if not self._is_given_up(stream)), default=None)

    def _is_given_up(self, stream: Hashable) -> bool:
        lag = self._lagging.get(stream)
        return lag is not None and asyncio.get_running_loop().time() - lag.since >= self._wait_for

    def _mark_lagging(self, batch: int) -> None:
        """Clients are told of `batch` now: routers that do not hold it lag."""
        self._newest = max(self._newest, batch)
        for stream in list(self._behind(batch)):
            lag = self._lagging.get(stream)
            if lag is not None:
                lag.batch = max(lag.batch, batch)
                continue
            self._lagging[stream] = _Lag(batch, asyncio.get_running_loop().time())
            self._on_lag(stream, True)

    def _wake(self) -> None:
        lowest = self._lowest()
        for future, batch in list(self._waiting.items()):
            if (lowest is None or batch <= lowest) and not future.done():
                future.set_result(True)


def _expire(future: "asyncio.Future[bool]") -> None:
    if not future.done():
        future.set_result(False)
