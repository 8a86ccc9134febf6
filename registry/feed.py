"""`StoreRouteFeed`: a router's table, fed by a snapshot and one watch over the whole prefix.

One watch, because several have no common order. Whatever breaks it, a fresh snapshot is diffed into the table: never a
gap. Being *caught up* is decided without asking the watch how far it is (`registry.store` says why one cannot): every
registration is in a batch, and every batch changes its node's guard below `batches/`. So one linearizable read of the
guards names the newest revision at which anything was registered, and the watch must show that very change.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable
from contextlib import aclosing

from registry.keys import Keys
from registry.lapse import FencingAnswer
from registry.model import Incarnation
from registry.ports import RegistrySettings
from registry.retry import RetryPauses
from registry.routes import RouteTable, TableChange
from registry.store import Compacted, Snapshot, Store, StoreAway
from runtime.process.run_all import run_all

log = logging.getLogger(__name__)

CATCH_UP = 2.0  # seconds after which the table is only a guess


class StoreRouteFeed:
    """See `registry.ports.RouteFeed`."""

    def __init__(self, store: Store, settings: RegistrySettings) -> None:
        self.table = RouteTable(settings.cluster)
        self.on_change: Callable[[TableChange], None] = _ignore
        self.resyncs = 0  # snapshots taken after the first
        self._store = store
        self._keys = Keys(settings.cluster)
        self._synced = asyncio.Event()
        self._asked = asyncio.Event()
        self._askers: list[Future[bool]] = []  # wait for a read that has not begun
        self._reaching: list[tuple[int, Future[bool]]] = []  # wait for the table to reach a revision

    async def run(self) -> None:
        """See the port. StoreRefused when the store does not let us read."""
        await run_all(self._follow, self._answer)

    async def wait_synced(self) -> None:
        """See the port."""
        await self._synced.wait()

    async def wait_caught_up(self) -> bool:
        """See the port."""
        asker: Future[bool] = asyncio.get_running_loop().create_future()
        self._askers.append(asker)
        self._asked.set()
        try:
            async with asyncio.timeout(CATCH_UP):
                return await asker
        except TimeoutError:
            return False

    async def lease_state(self, incarnation: Incarnation) -> FencingAnswer:
        """Whether the incarnation is alive, by a linearizable read: a lapsed node's fencing query."""
        try:
            async with asyncio.timeout(CATCH_UP):
                entry = await self._store.get(self._keys.node(incarnation.node))
        except (StoreAway, TimeoutError):
            return FencingAnswer.AWAY
        alive = entry is not None and entry.create_revision == incarnation.epoch
        return FencingAnswer.ALIVE if alive else FencingAnswer.FENCED

    # The table

    async def _follow(self) -> None:
        while True:
            reading = await self._snapshot()
            self._folded(self.table.replace(reading))
            self._synced.set()
            try:
                async with aclosing(self._store.watch_prefix(self._keys.prefix, reading.revision + 1)) as news:
                    async for changes in news:
                        self._folded(self.table.fold(changes))
            except (Compacted, StoreAway) as error:
                log.warning("The route table is read anew: %s", error)
            self.resyncs += 1

    async def _snapshot(self) -> Snapshot:
        back_off = RetryPauses()
        while True:
            try:
                return await self._store.get_prefix(self._keys.prefix)
            except StoreAway as error:
                log.warning("The route table waits: %s", error)
            await back_off.pause()

    def _folded(self, change: TableChange) -> None:
        self.on_change(change)
        if self._reaching:
            self._release()

    # Catching up

    async def _answer(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            askers, self._askers = self._askers, []
            try:
                reading = await self._store.get_prefix(self._keys.batches, keys_only=True)
            except StoreAway:
                _resolve(askers, False)
                continue
            newest = max((entry.mod_revision for entry in reading.entries), default=0)
            self._reaching.extend((newest, asker) for asker in askers)
            self._release()

    def _release(self) -> None:
        """Answer those whose revision the table has reached; forget those who no longer wait."""
        at = self.table.revision if self._synced.is_set() else -1
        _resolve([asker for revision, asker in self._reaching if revision <= at], True)
        self._reaching = [one for one in self._reaching if not one[1].done()]


def _resolve(askers: list[Future[bool]], answer: bool) -> None:
    for asker in askers:
        if not asker.done():
            asker.set_result(answer)


def _ignore(_: TableChange) -> None:
    """Nobody wants to know."""
