"""Who waits for which commit: the batcher's wishes, with a future for each of them."""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable

from registry.batches import LIMIT, Batch, Batcher, Settled

GATHER = 0.010  # seconds from one batch's start to the next one's (docs/decisions/0004-batches-gather.md)
GATHER_MANY = 0.025  # the same while many come: a transaction costs as much again as twenty more keys in it
MANY = 4  # keys in one batch that are many


class _Waiting:
    """Who waits for one key's put to be committed, and since when."""

    __slots__ = ("futures", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.futures: list[Future[int]] = []

    def settle(self, number: int) -> None:
        for future in self.futures:
            if not future.done():
                future.set_result(number)

    def cancel(self) -> None:
        for future in self.futures:
            future.cancel()


class PendingWrites:
    """Everything that one incarnation wants written and that is not committed yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._batcher = Batcher()
        self._waiting: dict[str, _Waiting] = {}  # in the order in which they began to wait
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._closed = False

    @property
    def number(self) -> int:
        """The newest batch that is known to be committed."""
        return self._batcher.number

    def put(self, key: str, value: bytes) -> "Future[int]":
        """Wish for a key. The future gives the batch that committed it; cancelled by `remove` and `close`."""
        future: Future[int] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.cancel()
            return future
        self._batcher.want(key, value)
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(self._clock())
        waiting.futures.append(future)
        self._news.set()
        return future

    def put_once(self, key: str, value: bytes) -> "Future[int]":
        """The same, but done at once when the key is committed already."""
        number = self._batcher.committed(key)
        if number is None or self._closed:
            return self.put(key, value)
        done: Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(number)
        return done

    def remove(self, key: str) -> None:
        """Wish for a key's absence."""
        if self._closed:
            return
        self._batcher.want(key, None)
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.cancel()
        self._news.set()

    def waits_since(self) -> float | None:
        """When the longest waiting put was wished for; None when none waits."""
        oldest = next(iter(self._waiting.values()), None)
        return None if oldest is None else oldest.since

    async def commit(self, send: Callable[[Batch], Awaitable[None]]) -> None:
        """For ever: send what is wanted. `send` returns once the store has the batch, or raises what ends this."""
        while True:
            self._news.clear()
            await self.flush(send)
            await self._news.wait()

    async def flush(self, send: Callable[[Batch], Awaitable[None]]) -> None:
        """Send until nothing is wanted. One batch at a time, also when two call this."""
        async with self._sending:
            while (batch := self._batcher.open or self._batcher.next_batch()) is not None:
                sent = self._clock()
                await send(batch)
                self._settle(self._batcher.answered())
                await self._let_gather(batch, sent)

    def close(self) -> None:
        """Nothing will be committed any more: cancel who waits, and whoever comes."""
        self._closed = True
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.cancel()

    async def _let_gather(self, batch: Batch, sent: float) -> None:
        # A transaction costs a millisecond of CPU or more here and in etcd: a fast store is not asked more often.
        rest = sent + (GATHER if len(batch.operations) < MANY else GATHER_MANY) - self._clock()
        if rest > 0 and len(batch.operations) < LIMIT:
            await asyncio.sleep(rest)

    def _settle(self, settled: Settled) -> None:
        for key in settled.keys:
            waiting = self._waiting.pop(key, None)
            if waiting is not None:
                waiting.settle(settled.number)
