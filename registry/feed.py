"""`StoreRouteFeed`: keeps a router's table by a snapshot and one watch over the whole prefix.

One watch, because several have no common order. When the watch's history is compacted or replaced, a fresh snapshot is
diffed into the table, so there is no gap. A watch that is silent (`registry.catch_up`) is opened again, by then on
another member.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from registry.catch_up import READ_TIMEOUT, CatchUp, HistoryReplaced, WatchSilent
from registry.keys import Keys
from registry.lease_state import FencingAnswer
from registry.model import Incarnation
from registry.ports import RegistrySettings
from registry.retry import RetryBackoff
from registry.route_loading import LoadingRoutes
from registry.routes import RouteTable, TableChange
from registry.store import Changes, Compacted, Store, StoreUnavailable
from runtime.process.background_tasks import BackgroundTasks
from runtime.process.garbage import no_collections
from runtime.process.task_group import run_until_first_error

log = logging.getLogger(__name__)


class StoreRouteFeed:
    """See `registry.ports.RouteFeed`."""

    def __init__(
        self,
        store: Store,
        settings: RegistrySettings,
        clock: Callable[[], float] = time.monotonic,
        on_resync: Callable[[], None] = lambda: None,
    ) -> None:
        """`clock`: seconds. `on_resync`: called when everything is read again."""
        self._on_resync = on_resync
        self.table = RouteTable(settings.cluster)
        self.resyncs = 0  # snapshots after the first
        self.watches_reopened = 0  # because they were silent
        self.unverified = False
        self._pauses = 0  # of this process, that were told
        self._warned = False  # of what is malformed
        self._subscribers: list[Callable[[TableChange], None]] = []
        self._store = store
        self._keys = Keys(settings.cluster)
        self._catch_up = CatchUp(store, self._keys, self.table, clock, self._interrupt)
        self._synced = asyncio.Event()
        self._interrupted: asyncio.Future[None] | None = None  # of the watch that runs
        self._verifying = BackgroundTasks()

    @property
    def may_lack_routes(self) -> bool:
        """See the port."""
        return self._catch_up.may_lack_routes

    def behind_for(self) -> float:
        """See the port."""
        return self._catch_up.behind_for()

    def subscribe(self, on_change: Callable[[TableChange], None]) -> None:
        """See the port."""
        self._subscribers.append(on_change)

    async def run(self) -> None:
        """See the port. StoreRefused: the store does not permit the reads."""
        try:
            await run_until_first_error(self._follow, self._catch_up.run)
        finally:
            await self._verifying.close()

    async def wait_synced(self) -> None:
        """See the port."""
        await self._synced.wait()

    async def wait_caught_up(self) -> bool:
        """See the port."""
        return await self._catch_up.wait()

    def verify(self) -> None:
        """See the port."""
        self._pauses += 1
        self.unverified = True
        self._verifying.start(self._verify(self._pauses))

    async def _verify(self, pause: int) -> None:
        await self.wait_caught_up()
        if pause == self._pauses:
            self.unverified = False

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
        replaced = False
        while True:
            with no_collections():
                await self._load(replaced)
            replaced = False
            try:
                while True:
                    await self._watch()
            except (Compacted, HistoryReplaced, StoreUnavailable) as error:
                replaced = isinstance(error, HistoryReplaced | Compacted)  # a restore may compact the old history
                log.warning("The route table is read again: %s", error)
            self.resyncs += 1
            self._on_resync()

    async def _load(self, replaced: bool) -> None:
        """Replace the table by a snapshot. Calls go on meanwhile, with what the table has."""
        loaded, revision = await self._read_snapshot()
        change = self.table.replace(loaded, revision, replaced)
        self._synced.set()
        self._on_change(change)
        self._catch_up.on_loaded()
        for _ in self.table.free():
            await asyncio.sleep(0)

    async def _read_snapshot(self) -> tuple[LoadingRoutes, int]:
        backoff = RetryBackoff()
        while True:
            try:
                return await self._read_pages()
            except (StoreUnavailable, Compacted) as error:
                log.debug("The route table waits: %s", error)
            await backoff.sleep()

    async def _read_pages(self) -> tuple[LoadingRoutes, int]:
        loading, revision, layout = self.table.begin_load(), 0, None
        async with aclosing(self._store.read_pages(self._keys.prefix)) as pages:
            async for page in pages:
                revision = page.revision
                layout = layout or next((entry for entry in page.entries if entry.key == self._keys.layout), None)
                loading.add(page.entries)
                await asyncio.sleep(0)
        self._catch_up.on_snapshot(layout)
        return loading, revision

    async def _watch(self) -> None:
        """Apply a watch from the table's revision on, until it is silent. Raises what else ends it."""
        self._interrupted = asyncio.get_running_loop().create_future()
        self._catch_up.on_watch()
        try:
            watching = self._store.watch_prefix(self._keys.prefix, self.table.revision + 1, self._catch_up.on_open)
            async with aclosing(watching) as watch:
                await run_until_first_error(lambda: self._apply(watch), self._wait_interrupted)
        except WatchSilent as silent:
            self.watches_reopened += 1
            log.warning("The watch of the routes is opened again: %s", silent)
        finally:
            self._interrupted = None

    async def _apply(self, watch: AsyncIterator[Changes]) -> None:
        async for changes in watch:
            self._on_change(self.table.apply(changes))
            self._catch_up.on_shown(changes)

    async def _wait_interrupted(self) -> None:
        assert self._interrupted is not None
        await self._interrupted

    def _interrupt(self, why: Exception) -> None:
        if self._interrupted is not None and not self._interrupted.done():
            self._interrupted.set_exception(why)

    def _on_change(self, change: TableChange) -> None:
        if self.table.malformed and not self._warned:
            self._warned = True
            text = "%s has keys or values that no process of Homing writes; they are skipped, and counted (malformed)"
            log.warning(text, self._keys.prefix)
        for on_change in self._subscribers:
            on_change(change)
