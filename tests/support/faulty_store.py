"""A store between the code and a real one (in memory or etcd) that loses requests or answers when told to."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from registry.store import (
    Changes,
    Compare,
    Entry,
    OnOpen,
    Operation,
    Snapshot,
    Store,
    StoreUnavailable,
    TransactionResult,
    ignore_open,
)


class FaultyStore:
    """Set `away` and nothing arrives; set `lose_answers` and that many transactions run but are not answered."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.away = False
        self.lose_answers = 0
        self.lose_answer_to = ""  # once, that of a transaction which writes this key
        self.transactions: list[Sequence[Operation]] = []  # the success branches that were sent
        self.watch_gate = asyncio.Event()  # a watch is opened, and tells anything, only while this is set
        self.watch_gate.set()
        self.read_gate = asyncio.Event()  # a prefix read is answered only while this is set
        self.read_gate.set()
        self.prefix_reads = 0
        self.reads = 0  # of single keys
        self.refused = 0  # operations while `away`

    def _check(self) -> None:
        if self.away:
            self.refused += 1
            raise StoreUnavailable("the store is away, by order of the test")

    def why_away(self) -> str:
        return "the store is away, by order of the test" if self.away else ""

    async def get(self, key: str) -> Entry | None:
        self._check()
        self.reads += 1
        return await self.inner.get(key)

    async def get_prefix(self, prefix: str, *, keys_only: bool = False, revision: int = 0) -> Snapshot:
        self._check()
        if revision:
            return await self.inner.get_prefix(prefix, keys_only=keys_only, revision=revision)
        self.prefix_reads += 1
        reading = await self.inner.get_prefix(prefix, keys_only=keys_only)
        await self.read_gate.wait()
        return reading

    async def read_pages(self, prefix: str) -> AsyncGenerator[Snapshot, None]:
        self._check()
        self.prefix_reads += 1
        pages = [page async for page in self.inner.read_pages(prefix)]
        await self.read_gate.wait()
        for page in pages:
            yield page

    async def revision(self) -> int:
        self._check()
        return await self.inner.revision()

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        self._check()
        self.transactions.append(success)
        outcome = await self.inner.transaction(compare, success, failure)
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the answer was lost, by order of the test")
        if self.lose_answer_to in {one.key for one in success}:
            self.lose_answer_to = ""
            raise StoreUnavailable("this answer was lost, by order of the test")
        return outcome

    async def grant(self, ttl: int) -> int:
        self._check()
        return await self.inner.grant(ttl)

    async def revoke(self, lease: int) -> None:
        self._check()
        await self.inner.revoke(lease)

    async def keep_alive(self, lease: int) -> None:
        self._check()
        await self.inner.keep_alive(lease)

    async def watch_prefix(
        self, prefix: str, start: int, on_open: OnOpen = ignore_open
    ) -> AsyncGenerator[Changes, None]:
        await self.watch_gate.wait()
        async for changes in self.inner.watch_prefix(prefix, start, on_open):
            await self.watch_gate.wait()
            yield changes

    async def close(self) -> None:
        await self.inner.close()
