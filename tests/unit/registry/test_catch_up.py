"""What reads of the guards show: caught up, behind, a silent watch, another history, a store that does not answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from registry import catch_up
from registry.catch_up import CatchUp, HistoryReplaced, WatchSilent
from registry.keys import Keys
from registry.routes import RouteTable
from registry.store import Change, Changes, Entry, FutureRevision, Snapshot, StoreUnavailable

KEYS = Keys("c")
LAYOUT = Entry(KEYS.layout, b"one", 1, 1)


class Store:
    """Answers reads as the test says."""

    def __init__(self) -> None:
        self.revision = 10
        self.guard = 10
        self.layout: Entry | None = LAYOUT
        self.away = False
        self.nodes: dict[str, int] = {}
        self.reads = 0

    async def get_prefix(self, prefix: str, *, keys_only: bool = False, revision: int = 0) -> Snapshot:
        if prefix == KEYS.nodes:
            return self.nodes_at(revision)
        self.reads += 1
        if self.away:
            raise StoreUnavailable("away")
        return Snapshot(self.revision, [Entry(KEYS.batch("n"), b"", 1, self.guard)])

    async def get(self, key: str) -> Entry | None:
        return self.layout

    def nodes_at(self, revision: int) -> Snapshot:
        if self.revision < revision:
            raise FutureRevision("not yet")
        return Snapshot(revision, [Entry(key, b"", epoch, epoch) for key, epoch in self.nodes.items()])


class Rig:
    def __init__(self) -> None:
        self.store = Store()
        self.table = RouteTable("c")
        self.now = 0.0
        self.interrupts: list[Exception] = []
        self.catch_up = CatchUp(self.store, KEYS, self.table, lambda: self.now, self.interrupts.append)  # type: ignore[arg-type]
        self.table.revision = 10
        self.catch_up.on_snapshot(LAYOUT)
        self.catch_up.on_loaded()
        self.catch_up.on_watch()

    def show(self, revision: int, *changes: Change) -> None:
        self.table.revision = revision
        self.catch_up.on_shown(Changes(revision, changes))

    async def read(self, times: int = 1) -> None:
        """Let it read by itself."""
        until = self.store.reads + times
        while self.store.reads < until:
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(catch_up, "CHECK_INTERVAL", 0.0)
    rig = Rig()
    running = asyncio.ensure_future(rig.catch_up.run())
    yield rig
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_caught_up_is_when_the_table_has_the_newest_guard(rig: Rig) -> None:
    assert await rig.catch_up.wait()
    rig.store.guard = rig.store.revision = 12
    waiting = asyncio.ensure_future(rig.catch_up.wait())
    await rig.read(2)
    assert not waiting.done()
    rig.show(12)
    assert await waiting
    assert not rig.interrupts


async def test_a_table_that_lags_is_behind_and_may_lack_routes_only_after_a_while(rig: Rig) -> None:
    rig.store.guard = rig.store.revision = 12
    await rig.read(2)
    rig.now = 0.2
    assert (rig.catch_up.behind_for(), rig.catch_up.may_lack_routes) == (0.2, False)
    rig.now = 0.3
    assert rig.catch_up.may_lack_routes
    rig.show(12)
    assert (rig.catch_up.behind_for(), rig.catch_up.may_lack_routes) == (0.0, False)
    assert not rig.interrupts


async def test_a_watch_that_shows_nothing_while_guards_move_on_is_silent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.store.guard = rig.store.revision = 12
    await rig.read(2)
    monkeypatch.setattr(catch_up, "SILENT_AFTER", 0.0)
    await rig.read(2)
    assert {type(why) for why in rig.interrupts} == {WatchSilent}


async def test_a_watch_that_shows_other_things_is_slow_and_not_silent(rig: Rig) -> None:
    rig.store.guard = rig.store.revision = 20
    await rig.read(2)
    for revision in range(11, 15):
        rig.now += 0.3
        rig.show(revision)
        await rig.read(1) if revision == 11 else None
    assert not rig.interrupts


async def test_a_lower_revision_is_another_history_and_nobody_is_caught_up_until_it_is_loaded(rig: Rig) -> None:
    rig.store.revision = rig.store.guard = 5
    assert not await rig.catch_up.wait()
    assert isinstance(rig.interrupts[0], HistoryReplaced)
    waiting = asyncio.ensure_future(rig.catch_up.wait())
    await rig.read(2)
    assert not waiting.done()
    rig.table.revision = 5
    rig.catch_up.on_snapshot(LAYOUT)
    rig.catch_up.on_loaded()
    assert await waiting


@pytest.mark.parametrize("found", [None, LAYOUT._replace(value=b"two")])
async def test_another_layout_at_a_higher_revision_is_another_history(rig: Rig, found: Entry | None) -> None:
    await rig.read(2)
    assert not rig.interrupts
    rig.store.layout, rig.store.revision = found, 99
    await rig.read(2)
    assert isinstance(rig.interrupts[0], HistoryReplaced)


async def test_a_layout_that_is_made_later_is_the_same_history(rig: Rig) -> None:
    rig.catch_up.on_snapshot(None)
    await rig.read(2)
    rig.store.revision = 12
    rig.show(11, Change(LAYOUT, deleted=False))
    await rig.read(2)
    rig.show(12, Change(LAYOUT._replace(value=b""), deleted=True))
    rig.store.layout = None
    await rig.read(2)
    assert not rig.interrupts


async def test_a_store_that_does_not_answer_makes_answers_guesses_until_it_does(rig: Rig) -> None:
    rig.store.away = True
    assert not await rig.catch_up.wait()
    assert rig.catch_up.may_lack_routes
    rig.store.away = False
    assert await rig.catch_up.wait()
    assert not rig.catch_up.may_lack_routes


def put_node(rig: Rig, epoch: int, value: bytes = b'{"node_address":"h:1"}') -> None:
    rig.show(epoch, change := Change(Entry(KEYS.node("n"), value, epoch, epoch), False))
    rig.table.apply(Changes(epoch, [change]))


@pytest.mark.parametrize("value", [b'{"node_address":"h:1"}', b"not a node"], ids=["a node", "a malformed one"])
async def test_a_watch_may_be_opened_again_while_the_nodes_of_its_revision_are_the_same(rig: Rig, value: bytes) -> None:
    put_node(rig, 12, value)
    rig.store.revision, rig.store.nodes = 12, {KEYS.node("n"): 12, KEYS.nodes + "%zz": 3}
    await rig.catch_up.on_open()


@pytest.mark.parametrize("nodes", [{}, {"n": 11}, {"n": 12, "m": 9}], ids=["none", "another epoch", "one more"])
async def test_a_restore_that_has_grown_beyond_the_table_shows_in_other_nodes(rig: Rig, nodes: dict[str, int]) -> None:
    put_node(rig, 12)
    rig.store.revision, rig.store.nodes = 20, {KEYS.node(name): epoch for name, epoch in nodes.items()}
    with pytest.raises(HistoryReplaced, match="at revision 12 it has other nodes"):
        await rig.catch_up.on_open()


async def test_a_revision_that_is_not_there_yet_is_of_another_history(rig: Rig) -> None:
    put_node(rig, 12)
    with pytest.raises(HistoryReplaced, match="not yet"):
        await rig.catch_up.on_open()
