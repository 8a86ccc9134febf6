"""The fleet: one hop for each incarnation in the table, from `start` to `close`."""

import asyncio

import pytest

from registry.model import Incarnation, Node
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.hop.port import OnChange
from tests.support.table import TableFeed


class Rig:
    def __init__(self) -> None:
        self.feed = TableFeed()
        self.hops: dict[Incarnation, MemoryHop] = {}
        self.ended: list[Incarnation] = []
        self.changes = 0
        self.fleet = Fleet(self.feed, self._make_hop)

    def _make_hop(self, incarnation: Incarnation, _node: Node, on_change: OnChange) -> MemoryHop:
        self.hops[incarnation] = hop = RecordingHop(incarnation, on_change, self.ended)
        return hop

    def count_change(self) -> None:
        self.changes += 1


class RecordingHop(MemoryHop):
    def __init__(self, incarnation: Incarnation, on_change: OnChange, ended: list[Incarnation]) -> None:
        super().__init__(incarnation, lambda _message: None, on_change)
        self._ended = ended

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            self._ended.append(self.incarnation)


async def test_start_dials_what_the_table_knows_before_it_returns_and_then_what_comes() -> None:
    rig = Rig()
    one = rig.feed.node("one")
    assert rig.fleet.hop(one) is None
    async with asyncio.TaskGroup() as group:
        rig.fleet.start(group)
        assert rig.fleet.hop(one) is rig.hops[one]
        two = rig.feed.node("two")
        assert rig.fleet.hop(two) is rig.hops[two]
        await rig.fleet.wait_opened()
        rig.fleet.close()
    assert set(rig.ended) == {one, two}


async def test_after_close_no_node_is_dialled() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as group:
        rig.fleet.start(group)
        rig.fleet.close()
        assert rig.fleet.hop(rig.feed.node("late")) is None
    assert rig.hops == {}


async def test_a_hop_that_fails_fails_the_group() -> None:
    rig = Rig()

    def make_broken(incarnation: Incarnation, _node: Node, on_change: OnChange) -> MemoryHop:
        hop = MemoryHop(incarnation, lambda _message: None, on_change)
        hop.run = broken_run  # type: ignore[method-assign]
        return hop

    async def broken_run() -> None:
        raise RuntimeError("broken")

    fleet = Fleet(rig.feed, make_broken)
    rig.feed.node("one")
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            fleet.start(group)
    assert [str(error) for error in caught.value.exceptions] == ["broken"]


async def test_a_listener_is_called_after_changes_of_the_table_and_of_hops_until_it_is_removed() -> None:
    rig = Rig()
    rig.fleet.add_listener(rig.count_change)
    async with asyncio.TaskGroup() as group:
        rig.fleet.start(group)
        one = rig.feed.node("one")
        after_table = rig.changes
        assert after_table > 0
        rig.hops[one].report_unregistered(True)
        assert rig.changes == after_table + 1
        assert rig.fleet.scattering() == {one}
        rig.fleet.remove_listener(rig.count_change)
        rig.hops[one].report_unregistered(False)
        assert rig.changes == after_table + 1
        rig.fleet.close()


async def test_an_incarnation_lingers_until_its_key_is_gone_and_its_stream_is_down() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as group:
        rig.fleet.start(group)
        one = rig.feed.node("one")
        rig.feed.node_gone("one")
        assert rig.fleet.hop(one) is not None
        rig.hops[one].disconnect()
        assert rig.fleet.hop(one) is None
        rig.fleet.close()
    assert rig.ended == [] or rig.ended == [one]  # cancelled before or after its first step


async def test_statistics_are_requested_while_anybody_requests_them_also_from_new_nodes() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as group:
        rig.fleet.start(group)
        one = rig.feed.node("one")
        rig.fleet.request_stats()
        rig.fleet.request_stats()
        two = rig.feed.node("two")
        rig.fleet.release_stats()
        assert rig.hops[one].stats is not None
        assert rig.hops[two].stats is not None
        rig.fleet.release_stats()
        assert rig.hops[one].stats is rig.hops[two].stats is None
        rig.fleet.close()


async def test_the_hop_is_notified_of_its_nodes_batches() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as group:
        rig.fleet.start(group)
        one = rig.feed.node("one")
        rig.feed.batch("one", 7)
        assert rig.hops[one].reported_batch == 7
        rig.fleet.close()


async def test_a_newer_incarnation_ends_the_one_whose_stream_lives_on() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as group:
        rig.fleet.start(group)
        old = rig.feed.node("one")
        rig.feed.session(old, "ada", 1)
        rig.feed.node_gone("one")
        assert rig.feed.table.lingering() == [old]
        new = rig.feed.node("one")
        assert (rig.fleet.hop(old), rig.fleet.hop(new)) == (None, rig.hops[new])
        assert (rig.feed.table.user("ada"), rig.feed.table.ended()) == ([], [old])
        rig.fleet.close()


async def test_a_node_that_is_over_is_no_scatter_target_whatever_its_stream_still_says() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as group:
        rig.fleet.start(group)
        node = rig.feed.node("one")
        hop = rig.hops[node]
        hop.report_unregistered(True)
        assert rig.fleet.scattering() == {node}
        rig.feed.node_gone("one")
        hop.disconnect()
        assert rig.fleet.scattering() == frozenset()
        hop.disconnect()  # its task ends, and says so
        assert rig.fleet.scattering() == frozenset()
        rig.fleet.close()
