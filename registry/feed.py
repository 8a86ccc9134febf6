"""`StoreRouteFeed`: keeps a router's table by a snapshot and one watch over the whole prefix.

One watch, because several have no common order. When the watch is lost, a fresh snapshot is diffed into the table, so
there is no gap. The table is *caught up* when it has reached the newest batch guard (docs/design.md, "The table"): each
registration is in a batch, and each batch changes its node's guard below `batches/`. So one linearizable read of the
guards gives the newest revision at which anything was registered, and the watch must show that very change.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable
from contextlib import aclosing

from registry.keys import Keys
from registry.lease_state import FencingAnswer
from registry.model import Incarnation
from registry.ports import RegistrySettings
from registry.retry import RetryBackoff
from registry.routes import RouteTable, TableChange
from registry.store import Compacted, Snapshot, Store, StoreUnavailable
from runtime.process.task_group import run_until_first_error

log = logging.getLogger(__name__)

READ_TIMEOUT = 2.0  # seconds, for catching up and for a fencing read


class StoreRouteFeed:
    """See `registry.ports.RouteFeed`."""

    def __init__(self, store: Store, settings: RegistrySettings) -> None:
        self.table = RouteTable(settings.cluster)
        self.resyncs = 0  # snapshots after the first
        self._warned = False  # of what is malformed
        self._subscribers: list[Callable[[TableChange], None]] = []
        self._store = store
        self._keys = Keys(settings.cluster)
        self._synced = asyncio.Event()
        self._read_requested = asyncio.Event()
        self._before_read: list[Future[bool]] = []  # calls whose read has not begun
        self._after_read: list[tuple[int, Future[bool]]] = []  # calls that wait for the table to reach a revision

    def subscribe(self, on_change: Callable[[TableChange], None]) -> None:
        """See the port."""
        self._subscribers.append(on_change)

    async def run(self) -> None:
        """See the port. StoreRefused: the store does not permit the reads."""
        await run_until_first_error(self._follow, self._read_guards)

    async def wait_synced(self) -> None:
        """See the port."""
        await self._synced.wait()

    async def wait_caught_up(self) -> bool:
        """See the port."""
        call: Future[bool] = asyncio.get_running_loop().create_future()
        self._before_read.append(call)
        self._read_requested.set()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                return await call
        except TimeoutError:
            return False

    async def fencing_answer(self, incarnation: Incarnation) -> FencingAnswer:
        """See the port."""
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                entry = await self._store.get(self._keys.node(incarnation.node))
        except (StoreUnavailable, TimeoutError):
            return FencingAnswer.AWAY
        alive = entry is not None and entry.create_revision == incarnation.epoch
        return FencingAnswer.ALIVE if alive else FencingAnswer.FENCED

    # The table

    async def _follow(self) -> None:
        while True:
            snapshot = await self._snapshot()
            self._on_change(self.table.load(snapshot))
            self._synced.set()
            try:
                async with aclosing(self._store.watch_prefix(self._keys.prefix, snapshot.revision + 1)) as watch:
                    async for changes in watch:
                        self._on_change(self.table.apply(changes))
            except (Compacted, StoreUnavailable) as error:
                log.info("The route table is read again: %s", error)
            self.resyncs += 1

    async def _snapshot(self) -> Snapshot:
        backoff = RetryBackoff()
        while True:
            try:
                return await self._store.get_prefix(self._keys.prefix)
            except StoreUnavailable as error:
                log.debug("The route table waits: %s", error)
            await backoff.sleep()

    def _on_change(self, change: TableChange) -> None:
        if self.table.malformed and not self._warned:
            self._warned = True
            text = "%s has keys or values that no process of Homing writes; they are skipped, and counted (malformed)"
            log.warning(text, self._keys.prefix)
        for on_change in self._subscribers:
            on_change(change)
        if self._after_read:
            self._resolve_reached()

    # Catching up

    async def _read_guards(self) -> None:
        while True:
            await self._read_requested.wait()
            self._read_requested.clear()
            calls, self._before_read = self._before_read, []
            try:
                guards = await self._store.get_prefix(self._keys.batches, keys_only=True)
            except StoreUnavailable:
                _resolve(calls, False)
                continue
            newest = max((entry.mod_revision for entry in guards.entries), default=0)
            self._after_read.extend((newest, call) for call in calls)
            self._resolve_reached()

    def _resolve_reached(self) -> None:
        """Resolve the calls whose revision the table has reached; drop those that were cancelled."""
        reached = self.table.revision if self._synced.is_set() else -1
        _resolve([call for revision, call in self._after_read if revision <= reached], True)
        self._after_read = [(revision, call) for revision, call in self._after_read if not call.done()]


def _resolve(calls: list[Future[bool]], result: bool) -> None:
    for call in calls:
        if not call.done():
            call.set_result(result)
