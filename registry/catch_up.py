"""Whether a router's table has caught up with the store: reads of the batch guards, and what they show.

The table is *caught up* when it has reached the newest batch guard (docs/design.md, "The table"): each registration is
in a batch, and each batch changes its node's guard below `batches/`. So one linearizable read of the guards gives the
newest revision at which anything was registered, and the watch must show that very change.

The guards are also read once a second by itself, which shows three faults. A watch that has not shown a guard for half
a second, and nothing else either, is *silent*. A revision below one that was seen, or another `layout` key, means that
the store's history was *replaced*, by a restore or a wipe. And a store that cannot be read makes every answer that
needs it a guess.

A restored store may grow beyond the table's revision before anybody looks. The watch breaks with each restore, so when
it is opened again, the nodes are read as they were at the table's revision: in another history they are others, for a
node that a restore takes registrations from begins a new incarnation.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress

from registry.keys import Keys, MalformedKey, NodeKey, parse_key
from registry.routes import RouteTable
from registry.store import Changes, Entry, FutureRevision, Snapshot, Store, StoreUnavailable

READ_TIMEOUT = 2.0  # seconds
CHECK_INTERVAL = 1.0  # seconds between two reads of the guards, when nothing else needs one
SILENT_AFTER = 0.5  # seconds for a watch to show what a read has shown
LAG_ALLOWED = 0.25  # seconds that gateways wait for routers' tables, before they say "connected" without them


class HistoryReplaced(Exception):
    """The store has another history than the table: it was restored or wiped."""


class WatchSilent(Exception):
    """The watch does not show what a read has shown."""


class CatchUp:
    """Reads the guards, for calls that wait and by itself."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        table: RouteTable,
        clock: Callable[[], float],
        interrupt: Callable[[Exception], None],
    ) -> None:
        """`clock`: seconds. `interrupt`: called with HistoryReplaced or WatchSilent when the watch must end."""
        self.readable = True  # the last read was answered
        self._store = store
        self._keys = keys
        self._table = table
        self._clock = clock
        self._interrupt = interrupt
        self._loaded = False  # the table is of the store's history
        self._layout: Entry | None = None  # as that history has it
        self._behind: tuple[int, float] | None = None  # a guard that the table has not reached, and since when
        self._shown_at = 0.0  # when the watch last showed anything
        self._layout_read_at = float("-inf")
        self._read_requested = asyncio.Event()
        self._before_read: list[Future[bool]] = []  # calls whose read has not begun
        self._after_read: list[tuple[int, Future[bool]]] = []  # calls that wait for the table to reach a revision

    @property
    def may_lack_routes(self) -> bool:
        """Whether a client may have been told "connected" although the table does not have its session."""
        return not self.readable or self.behind_for() > LAG_ALLOWED

    def behind_for(self) -> float:
        """Seconds for which the table has not shown what a read has shown; 0.0: it has."""
        if self._behind is None or self._behind[0] <= self._table.revision:
            return 0.0
        return self._clock() - self._behind[1]

    async def wait(self) -> bool:
        """Until the table holds every registration that was committed before this call; False: not within 2 s."""
        call: Future[bool] = asyncio.get_running_loop().create_future()
        self._before_read.append(call)
        self._read_requested.set()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                return await call
        except TimeoutError:
            return False

    # From the feed

    def on_snapshot(self, layout: Entry | None) -> None:
        """The table is about to be a snapshot with this layout."""
        self._layout = layout

    def on_loaded(self) -> None:
        """The table is the snapshot."""
        self._loaded = True
        self._resolve_reached()

    def on_watch(self) -> None:
        """A watch begins at the table's revision."""
        self._behind, self._shown_at = None, self._clock()

    async def on_open(self) -> None:
        """The store has opened the watch. HistoryReplaced: its history is not the table's. Compacted: it is gone."""
        revision, known = self._table.revision, self._table.epochs()
        try:
            nodes = await self._store.get_prefix(self._keys.nodes, keys_only=True, revision=revision)
        except FutureRevision as error:
            raise HistoryReplaced(f"etcd was restored or wiped: {error}") from None
        if self._epochs(nodes) != known:
            raise HistoryReplaced(f"etcd was restored: at revision {revision} it has other nodes than it had")

    def _epochs(self, nodes: Snapshot) -> dict[str, int]:
        found = {}
        for entry in nodes.entries:
            with suppress(MalformedKey):
                key = parse_key(entry.key, len(self._keys.prefix))
                if isinstance(key, NodeKey):
                    found[key.node] = entry.create_revision
        return found

    def on_shown(self, changes: Changes) -> None:
        """The watch has shown this, and the table has it."""
        self._shown_at = self._clock()
        for entry, deleted in changes.changes:
            if entry.key == self._keys.layout:
                self._layout = None if deleted else entry
        if self._after_read:
            self._resolve_reached()

    # Reading

    async def run(self) -> None:
        """Read whenever a call waits, and once a second. StoreRefused: the store does not permit it."""
        while True:
            await self._wait_due()
            calls, self._before_read = self._before_read, []
            seen = self._table.revision
            try:
                guards = await self._store.get_prefix(self._keys.batches, keys_only=True)
                await self._check_history(guards.revision, seen)
            except StoreUnavailable:
                self.readable = False
                _resolve(calls, False)
            except HistoryReplaced as replaced:
                self._loaded = False
                self._interrupt(replaced)
                _resolve(calls, False)
            else:
                self.readable = True
                self._on_guards(max((entry.mod_revision for entry in guards.entries), default=0), calls)

    async def _wait_due(self) -> None:
        """Until a read is requested, or due by itself."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_INTERVAL if self._behind is None else SILENT_AFTER):
                await self._read_requested.wait()
        self._read_requested.clear()

    async def _check_history(self, revision: int, seen: int) -> None:
        """Raises HistoryReplaced. A wiped store that has grown beyond what was seen shows only in its layout key."""
        if not self._loaded:
            return
        if revision < seen:
            raise HistoryReplaced(f"etcd is at revision {revision} after {seen}: it was restored or wiped")
        layout, now = self._layout, self._clock()
        if layout is not None and now - self._layout_read_at >= CHECK_INTERVAL:
            self._layout_read_at = now
            found = await self._store.get(self._keys.layout)
            if layout is self._layout and (found is None or found.value != layout.value):
                raise HistoryReplaced(f"{self._keys.layout} is another one: etcd was wiped")

    def _on_guards(self, newest: int, calls: list[Future[bool]]) -> None:
        now = self._clock()
        if newest <= self._table.revision:
            self._behind = None
        elif self._behind is None or self._behind[0] <= self._table.revision:
            self._behind = newest, now
        elif min(now - self._behind[1], now - self._shown_at) >= SILENT_AFTER:
            self._interrupt(WatchSilent("it does not show what a read has shown"))
        self._after_read.extend((newest, call) for call in calls)
        self._resolve_reached()

    def _resolve_reached(self) -> None:
        """Resolve the calls whose revision the table has reached; drop those that were cancelled."""
        reached = self._table.revision if self._loaded else -1
        _resolve([call for revision, call in self._after_read if revision <= reached], True)
        self._after_read = [(revision, call) for revision, call in self._after_read if not call.done()]


def _resolve(calls: list[Future[bool]], result: bool) -> None:
    for call in calls:
        if not call.done():
            call.set_result(result)
