"""Uncommitted writes of one incarnation: the batcher's changes, with futures for their commits."""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable

from registry.batches import MAX_OPERATIONS, Batch, CommittedBatch, RegistrationBatcher

MIN_INTERVAL = 0.010  # seconds between the starts of two batches (docs/decisions/0004-batches-gather.md)
MIN_INTERVAL_LARGE = 0.025  # the same after a large batch: a transaction costs as much as twenty more keys in it
LARGE = 4  # keys


class _PendingPut:
    """A put that is not committed yet, its time, and the futures of its callers."""

    __slots__ = ("futures", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.futures: list[Future[int]] = []

    def resolve(self, number: int) -> None:
        for future in self.futures:
            if not future.done():
                future.set_result(number)

    def cancel(self) -> None:
        for future in self.futures:
            future.cancel()


class PendingWrites:
    """Puts and deletes of one incarnation until their commit."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._batcher = RegistrationBatcher()
        self._puts: dict[str, _PendingPut] = {}  # by key, the oldest first
        self._changed = asyncio.Event()
        self._sending = asyncio.Lock()
        self._closed = False

    @property
    def last_committed(self) -> int:
        """The newest batch that is known to be committed."""
        return self._batcher.last_committed

    def put(self, key: str, value: bytes) -> "Future[int]":
        """Put a key. The future gives the number of the committing batch; `delete` and `close` cancel it."""
        future: Future[int] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.cancel()
            return future
        self._batcher.set(key, value)
        pending = self._puts.get(key)
        if pending is None:
            pending = self._puts[key] = _PendingPut(self._clock())
        pending.futures.append(future)
        self._changed.set()
        return future

    def put_unless_committed(self, key: str, value: bytes) -> "Future[int]":
        """Put a key; the future is done at once when the key is already committed."""
        number = self._batcher.committed_batch(key)
        if number is None or self._closed:
            return self.put(key, value)
        done: Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(number)
        return done

    def delete(self, key: str) -> None:
        """Delete a key."""
        if self._closed:
            return
        self._batcher.set(key, None)
        pending = self._puts.pop(key, None)
        if pending is not None:
            pending.cancel()
        self._changed.set()

    def oldest_put(self) -> float | None:
        """The time of the oldest uncommitted put; None when all are committed."""
        oldest = next(iter(self._puts.values()), None)
        return None if oldest is None else oldest.since

    async def run(self, send: Callable[[Batch], Awaitable[None]]) -> None:
        """Send batches for ever. `send` returns once the store has applied a batch, or raises what ends this."""
        while True:
            self._changed.clear()
            await self.flush(send)
            await self._changed.wait()

    async def flush(self, send: Callable[[Batch], Awaitable[None]]) -> None:
        """Send until nothing is uncommitted. One batch at a time, also with several callers."""
        async with self._sending:
            while (batch := self._batcher.in_flight or self._batcher.next_batch()) is not None:
                sent = self._clock()
                await send(batch)
                self._resolve(self._batcher.acknowledge())
                await self._wait_interval(batch, sent)

    def close(self) -> None:
        """Nothing is committed any more: cancel all futures, also those of later puts."""
        self._closed = True
        pending, self._puts = self._puts, {}
        for put in pending.values():
            put.cancel()

    async def _wait_interval(self, batch: Batch, sent: float) -> None:
        # A transaction costs a millisecond of CPU or more here and in etcd: a fast store must not make batches small.
        interval = MIN_INTERVAL if len(batch.operations) < LARGE else MIN_INTERVAL_LARGE
        rest = sent + interval - self._clock()
        if rest > 0 and len(batch.operations) < MAX_OPERATIONS:
            await asyncio.sleep(rest)

    def _resolve(self, committed: CommittedBatch) -> None:
        for key in committed.keys:
            pending = self._puts.pop(key, None)
            if pending is not None:
                pending.resolve(committed.number)
