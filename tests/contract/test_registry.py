"""Registrar, feed and sweeper together, over the in-memory twin and a real etcd."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from pathlib import Path

import pytest

from registry import membership
from registry.catch_up import WatchSilent
from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.ids import split
from registry.lease_state import FencingAnswer
from registry.memory import MemoryStore
from registry.model import Incarnation, SessionRoute
from registry.nodes import TableChange
from registry.ports import RegistryError
from registry.store import Delete, Put, Store, StoreUnavailable
from registry.sweeper import DELETES
from tests.contract.registry_rig import INFO, RegistryRig, node, until
from tests.support.faulty_store import FaultyStore
from tests.support.servers import start_etcd

_numbers = count()


def etcd_stores(endpoint: str) -> Callable[[], Store]:
    return lambda: EtcdStore(EtcdSettings(endpoints=(endpoint,)))


@pytest.fixture(params=["memory", "etcd"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[RegistryRig]:
    if request.param == "memory":
        shared = MemoryStore()
        rig = RegistryRig(lambda: shared, f"c{next(_numbers)}")
    else:
        rig = RegistryRig(etcd_stores(request.getfixturevalue("etcd").endpoint), f"c{next(_numbers)}")
    yield rig
    await rig.close()


# Membership


async def test_one_transaction_makes_the_incarnation_and_its_revision_is_the_epoch(rig: RegistryRig) -> None:
    member = await rig.member("n.1")
    store = rig.store()
    entries = [
        await store.get(key) for key in (rig.keys.node("n.1"), rig.keys.machine(member.machine), rig.keys.batch("n.1"))
    ]
    assert {entry and entry.create_revision for entry in entries} == {member.incarnation.epoch}
    assert {entry and entry.lease for entry in entries} == {entries[0].lease}
    assert member.incarnation.node == "n.1"
    assert not member.lapsed()
    assert split(member.id_generator.next_id(member.id_generator.earliest_ms)).machine == member.machine


async def test_nodes_that_start_at_once_never_share_a_machine_id(rig: RegistryRig) -> None:
    members = await asyncio.gather(*(rig.member(f"n{i}") for i in range(12)))
    assert len({member.machine for member in members}) == 12
    assert len({member.incarnation.epoch for member in members}) == 12


async def test_a_fixed_machine_id_that_stays_held_is_an_error_naming_the_holder(
    rig: RegistryRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "EXPIRY_MARGIN", 0.3)
    await rig.member("holder", machine=7)
    second = rig.registrar("second", machine=7, ttl=1)
    with pytest.raises(RegistryError, match=r"machine id 7 .*'holder'"):
        await second.begin()
    assert await rig.store().get(rig.keys.node("second")) is None


async def test_a_fixed_machine_id_is_waited_for(rig: RegistryRig) -> None:
    holder = await rig.member("holder", machine=7)
    store = FaultyStore(rig.store())
    second = asyncio.ensure_future(rig.member("second", store, machine=7))
    await until(lambda: len(store.transactions) >= 3)  # the layout, a refused attempt, another attempt
    assert not second.done()
    await holder.end()
    assert (await second).machine == 7


async def test_a_node_id_that_is_in_use_is_an_error_naming_its_address(
    rig: RegistryRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "EXPIRY_MARGIN", 0.3)
    await rig.member("same")
    with pytest.raises(RegistryError, match=r"'same' .*127\.0\.0\.1:2"):
        await rig.registrar("same", ttl=1).begin()


async def test_another_layout_is_refused(rig: RegistryRig) -> None:
    await rig.store().transaction([], [Put(rig.keys.layout, b'{"version":99,"cluster":"x"}')])
    with pytest.raises(RegistryError, match="layout 99 of cluster 'x'"):
        await rig.registrar("n").begin()
    await rig.store().transaction([], [Put(rig.keys.layout, b"something else")])
    with pytest.raises(RegistryError, match="holds no layout of Homing"):
        await rig.registrar("n").begin()


async def test_the_error_when_all_machine_ids_are_leased(rig: RegistryRig) -> None:
    store = rig.store()
    for first in range(0, 1024, 128):
        await store.transaction([], [Put(rig.keys.machine(i), b"x") for i in range(first, first + 128)])
    with pytest.raises(RegistryError, match="all 1024 machine ids"):
        await rig.registrar("n").begin()


async def test_a_new_holder_starts_above_the_floor_whatever_its_clock(rig: RegistryRig) -> None:
    first = await rig.member("first", machine=3)
    highest = first.id_generator.next_id(first.id_generator.ceiling - 1)
    await first.end()
    second = await rig.member("second", machine=3, wall=lambda: split(highest).ms - 3_600_000)
    assert second.id_generator.next_id(split(highest).ms - 3_600_000) > highest


async def test_lost_answers_at_the_start_still_make_one_incarnation(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    store.lose_answers = 1
    store.lose_answer_to = rig.keys.node("n")
    member = await rig.member("n", store)
    assert not store.lose_answer_to, "the answer was lost"
    assert await asyncio.wait_for(member.register_session("u", 1, INFO), 5) == 1
    machines = await rig.store().get_prefix(rig.keys.machines)
    assert [entry.value for entry in machines.entries] == [b"n"]


async def test_a_reservation_whose_answer_was_lost_is_found_and_used(rig: RegistryRig) -> None:
    wall = [1_764_000_000_000]
    store = FaultyStore(rig.store())
    member = await rig.member("n", store, wall=lambda: wall[0])
    ceiling = member.id_generator.ceiling
    store.lose_answers = 1
    wall[0] += 40_000
    await until(lambda: member.id_generator.ceiling > ceiling)
    assert store.lose_answers == 0, "the answer was lost"
    floor = await rig.store().get(rig.keys.floor(member.machine))
    assert floor is not None
    assert int(floor.value) == member.id_generator.ceiling >= wall[0] + 60_000


async def test_a_node_that_lost_its_machine_id_reserves_no_more_and_is_fenced(rig: RegistryRig) -> None:
    wall = [1_764_000_000_000]
    member = await rig.member("n", wall=lambda: wall[0], ttl=30)
    await rig.store().transaction([], [Delete(rig.keys.machine(member.machine))])
    wall[0] += 40_000
    await rig.finished(member)
    assert member.lapsed()


async def test_a_store_that_is_away_at_the_start_is_tried_until_the_limit(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    store.away = True
    with pytest.raises(StoreUnavailable):
        await rig.registrar("n", store, start_limit=0.3).begin()
    store.refused = 0
    second = asyncio.ensure_future(rig.registrar("m", store).begin())
    await until(lambda: store.refused >= 2)
    assert not second.done()
    store.away = False
    assert (await second).incarnation.node == "m"


# Routes


async def test_what_is_registered_is_routed(rig: RegistryRig) -> None:
    member, feed = await rig.member("n"), await rig.feed()
    numbers = await asyncio.gather(
        member.register_session("u/1", 11, INFO), member.register_session("u/1", 12, INFO), member.register_file("f.1")
    )
    assert await feed.wait_caught_up()
    assert feed.table.batch(member.incarnation) >= max(numbers)
    route = feed.table.session(11)
    assert route is not None
    assert (route.user, route.incarnation, route.info) == ("u/1", member.incarnation, INFO)
    assert sorted(r.sid for r in feed.table.user("u/1")) == [11, 12]
    assert feed.table.file("f.1") == [member.incarnation]
    member.unregister_session("u/1", 11)
    member.unregister_file("f.1")
    await until(lambda: feed.table.session(11) is None and not feed.table.file("f.1"))
    assert [r.sid for r in feed.table.user("u/1")] == [12]


async def test_a_file_that_is_registered_is_done_at_once(rig: RegistryRig) -> None:
    member = await rig.member("n")
    first, second = member.register_file("f"), member.register_file("f")
    assert await first == await second == 1
    again = member.register_file("f")
    assert again.done()
    assert again.result() == 1


async def test_a_session_that_leaves_before_it_was_sent_costs_nothing(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    member = await rig.member("n", store)
    future = member.register_session("u", 1, INFO)
    member.unregister_session("u", 1)
    assert await member.register_session("u", 2, INFO) == 1
    assert future.cancelled()
    written = {operation.key for operations in store.transactions for operation in operations}
    assert rig.keys.session("u", 2, member.incarnation) in written
    assert rig.keys.session("u", 1, member.incarnation) not in written


async def test_thousands_at_once_go_in_few_batches_and_all_arrive(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    member, feed = await rig.member("n", store), await rig.feed()
    sent = len(store.transactions)
    await asyncio.gather(*(member.register_session(f"u{i}", i, INFO) for i in range(1, 2_001)))
    assert len(store.transactions) - sent <= 2_000 / 126 + 3
    assert await feed.wait_caught_up()
    assert len(feed.table) == 2_000


async def test_caught_up_means_everything_that_was_committed_before(rig: RegistryRig) -> None:
    member, feed = await rig.member("n"), await rig.feed()
    for sid in range(1, 101):
        await member.register_session("u", sid, INFO)
        assert await feed.wait_caught_up()
        assert feed.table.session(sid) is not None


async def test_caught_up_waits_for_a_table_that_lags(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    member, feed = await rig.member("n"), await rig.feed(store)
    assert await feed.wait_caught_up()
    store.watch_gate.clear()
    await member.register_session("u", 1, INFO)
    reads = store.prefix_reads
    first = asyncio.ensure_future(feed.wait_caught_up())
    await until(lambda: store.prefix_reads == reads + 1)
    second = asyncio.ensure_future(feed.wait_caught_up())
    await until(lambda: store.prefix_reads == reads + 2)  # so the first read has been processed
    assert not first.done()
    assert feed.table.session(1) is None
    store.watch_gate.set()
    assert await first
    assert await second
    assert feed.table.session(1) is not None


async def test_a_quiet_prefix_is_caught_up_while_others_are_busy(rig: RegistryRig) -> None:
    feed = await rig.feed()
    await rig.store().transaction([], [Put("/elsewhere", b"")])
    async with asyncio.timeout(1):
        assert await feed.wait_caught_up()


async def test_concurrent_calls_share_one_read_but_never_one_that_has_begun(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    feed = await rig.feed(store)
    before = store.prefix_reads
    store.read_gate.clear()
    early = asyncio.gather(*(feed.wait_caught_up() for _ in range(50)))
    await until(lambda: store.prefix_reads == before + 1)
    late = asyncio.gather(*(feed.wait_caught_up() for _ in range(50)))
    await asyncio.sleep(0)  # all of these calls have begun, while the first read is in progress
    store.read_gate.set()
    assert all(await early)
    assert all(await late)
    assert store.prefix_reads == before + 2


async def test_a_store_that_cannot_be_read_makes_catching_up_fail(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    feed = await rig.feed(store)
    store.away = True
    assert await feed.wait_caught_up() is False
    assert await feed.fencing_answer(Incarnation("n", 1)) is FencingAnswer.AWAY


async def test_subscribers_receive_the_changes_of_nodes(rig: RegistryRig) -> None:
    feed = await rig.feed()
    received: list[TableChange] = []
    feed.subscribe(received.append)
    member = await rig.member("n")
    await until(lambda: feed.table.present(member.incarnation))
    await member.drain()
    await until(lambda: feed.table.incarnations()[member.incarnation].draining)
    assert await feed.fencing_answer(member.incarnation) is FencingAnswer.ALIVE
    await member.end()
    await until(lambda: not feed.table.present(member.incarnation))
    await rig.finished(member)
    assert await feed.fencing_answer(member.incarnation) is FencingAnswer.FENCED
    assert [up for change in received for up in change.up] == [(member.incarnation, node(member.machine))]
    assert [incarnation for change in received for incarnation, _ in change.changed] == [member.incarnation]
    assert [incarnation for change in received for incarnation in change.gone] == [member.incarnation]


async def test_lost_history_means_a_fresh_snapshot_diffed(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    old, gone = await rig.member("old"), await rig.member("gone")
    await old.register_session("u", 1, INFO)
    store.watch_gate.clear()
    feed = await rig.feed(store)  # has its snapshot, and no watch yet
    received: list[TableChange] = []
    feed.subscribe(received.append)
    old.unregister_session("u", 1)
    await old.register_session("u", 2, INFO)
    await gone.end()
    new = await rig.member("new")
    compactor = rig.store()
    done = compactor.compact(await compactor.revision())  # type: ignore[attr-defined]
    if done is not None:
        await done
    assert feed.table.session(2) is None
    store.watch_gate.set()
    await until(lambda: feed.resyncs == 1 and feed.table.session(2) is not None)
    assert feed.table.session(1) is None
    assert [incarnation for change in received for incarnation, _ in change.up] == [new.incarnation]
    assert [incarnation for change in received for incarnation in change.gone] == [gone.incarnation]
    await old.register_session("u", 3, INFO)
    assert await feed.wait_caught_up()
    assert feed.table.session(3) is not None


# The end of an incarnation


async def test_end_commits_what_is_pending_and_deletes_the_keys_of_the_lease(rig: RegistryRig) -> None:
    member = await rig.member("n")
    future = member.register_session("u", 1, INFO)
    await member.end()
    assert future.result() == 1
    await rig.finished(member)
    left = {
        e.key.removeprefix(rig.keys.prefix).split("/")[0]
        for e in (await rig.store().get_prefix(rig.keys.prefix)).entries
    }
    assert left == {"layout", "floors", "sessions"}


async def test_an_incarnation_whose_lease_is_gone_is_fenced(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    member = await rig.member("n", store)
    entry = await rig.store().get(rig.keys.node("n"))
    assert entry is not None
    await rig.store().revoke(entry.lease)
    future = member.register_session("u", 1, INFO)
    await rig.finished(member)
    assert future.cancelled()
    assert member.lapsed()
    assert member.register_session("u", 2, INFO).cancelled()
    assert not (await rig.store().get_prefix(rig.keys.prefix + "sessions/")).entries


async def test_an_incarnation_that_a_router_has_fenced_ends_although_the_store_is_away(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    member = await rig.member("n", store)
    store.away = True
    future = member.register_session("u", 1, INFO)
    member.lease.on_fencing_answer(FencingAnswer.FENCED, queried=0.0)
    await rig.finished(member, within=1)
    assert future.cancelled()


@pytest.mark.parametrize("kind", ["node", "batch", "foreign guard"])
async def test_an_incarnation_that_lost_a_key_is_fenced(rig: RegistryRig, kind: str) -> None:
    member = await rig.member("n")
    keys = rig.keys
    harm = {
        "node": Delete(keys.node("n")),
        "batch": Delete(keys.batch("n")),
        "foreign guard": Put(keys.batch("n"), b"77"),
    }
    await rig.store().transaction([], [harm[kind]])
    if kind != "node":  # an idle node notices only the loss of its node key, by itself
        member.register_session("u", 1, INFO)
    await rig.finished(member)
    assert member.lapsed()


async def test_a_new_incarnation_of_the_same_node_has_a_higher_epoch(rig: RegistryRig) -> None:
    feed = await rig.feed()
    first = await rig.member("n")
    await first.register_session("u", 1, INFO)
    assert await feed.wait_caught_up()
    await first.end()
    second = await rig.member("n")
    assert second.incarnation.epoch > first.incarnation.epoch
    assert await feed.wait_caught_up()
    assert feed.table.lingering() == [first.incarnation]
    assert feed.table.session(1) is not None
    feed.table.end(first.incarnation)
    assert feed.table.session(1) is None


async def test_a_lost_batch_answer_is_resolved_by_the_guard(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    member = await rig.member("n", store)
    store.lose_answers = 1
    assert await asyncio.wait_for(member.register_session("u", 1, INFO), 5) == 1
    assert await asyncio.wait_for(member.register_session("u", 2, INFO), 5) == 2
    assert store.transactions[-3] == store.transactions[-2]  # resent unchanged


async def test_a_put_that_waits_too_long_makes_the_node_unregistered(rig: RegistryRig) -> None:
    store = FaultyStore(rig.store())
    received: list[bool] = []
    member = await rig.member("n", store, on_unregistered=received.append)
    store.away = True
    future = member.register_session("u", 1, INFO)
    assert not member.unregistered()
    await until(lambda: received == [True])
    assert member.unregistered()
    store.away = False
    assert await asyncio.wait_for(future, 5) == 1
    assert not member.unregistered()
    await until(lambda: received == [True, False])


# Sweeping


async def test_the_sweeper_tells_each_lost_session_before_it_deletes_the_key(rig: RegistryRig) -> None:
    feed, dead = await rig.feed(), await rig.member("dead")
    await asyncio.gather(*(dead.register_session("u", sid, INFO) for sid in range(1, 251)), dead.register_file("f"))
    told: list[int] = []

    async def on_lost(sessions: Sequence[SessionRoute]) -> None:
        told.extend(route.sid for route in sessions)
        if len(told) > 100:
            raise asyncio.CancelledError  # this router dies midway

    first = rig.sweeper("r1", feed, on_lost=on_lost)
    await until(lambda: first.is_leader)
    await dead.end()
    await until(lambda: feed.table.lingering() == [dead.incarnation])
    feed.table.end(dead.incarnation)
    await until(lambda: len(told) > 100)
    await rig.stop(first)
    left = (await rig.store().get_prefix(rig.keys.prefix + "sessions/")).entries
    assert len(left) >= 150, "what was not told of is still there"

    async def on_lost_again(sessions: Sequence[SessionRoute]) -> None:
        told.extend(route.sid for route in sessions)

    rig.sweeper("r2", feed, on_lost=on_lost_again)
    await until(lambda: not feed.table.ended(), 20)
    assert set(told) == set(range(1, 251))
    assert len(told) <= 250 + DELETES, "one transaction's at most twice"


async def test_the_sweeper_deletes_nothing_while_its_table_is_behind_on_the_node(rig: RegistryRig) -> None:
    watched, written = FaultyStore(rig.store()), FaultyStore(rig.store())
    feed = await rig.feed(watched)
    dead = await rig.member("n")
    await dead.register_session("u", 1, INFO)
    await until(lambda: feed.table.session(1) is not None)
    await dead.end()
    await until(lambda: feed.table.lingering() == [dead.incarnation])
    watched.watch_gate.clear()
    await rig.member("n")  # an incarnation that the table does not show
    feed.table.end(dead.incarnation)
    sweeper = rig.sweeper("r1", feed, written)
    await until(lambda: len(written.transactions) >= 4)  # the election, and three attempts
    assert (sweeper.keys_deleted, sweeper.is_leader) == (0, True)
    watched.watch_gate.set()
    await until(lambda: not feed.table.ended())
    assert sweeper.keys_deleted == 1


async def test_the_sweeper_removes_the_keys_of_a_dead_incarnation_only(rig: RegistryRig) -> None:
    feed = await rig.feed()
    dead, alive, other = await rig.member("dead"), await rig.member("alive"), await rig.member("other")
    await asyncio.gather(*(dead.register_session("u", sid, INFO) for sid in range(1, 251)), dead.register_file("f"))
    await asyncio.gather(alive.register_session("u", 999, INFO), alive.register_file("f"))
    await other.register_session("u", 1_000, INFO)
    sweeper = rig.sweeper("r1", feed)
    await until(lambda: sweeper.is_leader)
    assert await feed.wait_caught_up()  # so the table has had these incarnations as present
    await dead.end()
    await until(lambda: feed.table.lingering() == [dead.incarnation])
    await other.end()
    await until(lambda: other.incarnation in feed.table.lingering())
    feed.table.end(other.incarnation)
    await until(lambda: len(feed.table) == 251)  # the keys of `other` are swept
    assert feed.table.lingering() == [dead.incarnation]
    assert sweeper.keys_deleted == 1, "a lingering incarnation is not swept"
    feed.table.end(dead.incarnation)
    await until(lambda: len(feed.table) == 1)
    assert feed.table.ended() == []
    entries = (await rig.store().get_prefix(rig.keys.prefix)).entries
    left = [e.key for e in entries if "/sessions/" in e.key or "/files/" in e.key]
    assert left == [rig.keys.file("f", alive.incarnation), rig.keys.session("u", 999, alive.incarnation)]


async def test_a_deposed_sweeper_sweeps_nothing_and_campaigns_again(rig: RegistryRig) -> None:
    feed = await rig.feed()
    dead = await rig.member("dead")
    await dead.register_session("u", 1, INFO)
    sweeper = rig.sweeper("r1", feed)
    await until(lambda: sweeper.is_leader)
    await rig.store().transaction([], [Put(rig.keys.sweeper + "x", b"")])  # another key
    await rig.store().transaction([], [Delete(rig.keys.sweeper)])
    await rig.store().transaction([], [Put(rig.keys.sweeper, b"usurper")])
    assert await feed.wait_caught_up()  # so the table has had this incarnation as present
    await dead.end()
    await until(lambda: feed.table.lingering() == [dead.incarnation])
    feed.table.end(dead.incarnation)
    await until(lambda: not sweeper.is_leader)
    assert sweeper.keys_deleted == 0
    await rig.store().transaction([], [Delete(rig.keys.sweeper)])
    await until(lambda: sweeper.keys_deleted == 1)


async def test_one_sweeper_leads_and_another_follows_it(rig: RegistryRig) -> None:
    feed = await rig.feed()
    stores = [FaultyStore(rig.store()) for _ in range(3)]
    sweepers = [rig.sweeper(f"r{i}", feed, store) for i, store in enumerate(stores)]
    await until(lambda: sorted(store.reads for store in stores)[1] >= 2)  # each candidate has found a leader
    [leader] = [s for s in sweepers if s.is_leader]
    await rig.stop(leader)
    rest = [s for s in sweepers if s is not leader]
    await until(lambda: any(s.is_leader for s in rest))
    assert sum(s.is_leader for s in rest) == 1


# A server that goes and comes


async def test_registrations_wait_for_an_etcd_that_restarts(tmp_path: Path) -> None:
    with start_etcd(tmp_path) as server:
        rig = RegistryRig(etcd_stores(server.endpoint), "restart")
        try:
            member, feed = await rig.member("n", ttl=6), await rig.feed()
            await member.register_session("u", 1, INFO)
            assert await feed.wait_caught_up()
            await asyncio.to_thread(server.stop)
            future = member.register_session("u", 2, INFO)
            assert not await feed.wait_caught_up()
            await until(member.unregistered)
            assert feed.table.session(1) is not None
            await asyncio.to_thread(server.restart)
            assert await asyncio.wait_for(future, 6) == 2
            await until(lambda: feed.table.session(2) is not None)
            assert await feed.wait_caught_up()
            assert not member.unregistered()
            assert feed.table.present(member.incarnation)
            assert feed.resyncs == 0, "the watch resumes, it does not start over"
        finally:
            await rig.close()


async def test_a_node_that_begins_again_has_the_same_machine_id_and_says_that_it_restores(rig: RegistryRig) -> None:
    first, feed = await rig.member("n"), await rig.feed()
    await rig.store().revoke(first._lease_id)
    await rig.finished(first)
    second = await rig.registrar("n").begin_again(first.machine)
    assert second.machine == first.machine
    assert second.incarnation.epoch > first.incarnation.epoch
    assert second.unregistered(), "routers scatter to it from the first moment"
    await until(lambda: second.incarnation in feed.table.incarnations())
    assert feed.table.incarnations()[second.incarnation].restoring
    second.set_restored()
    assert not second.unregistered()


async def test_a_registration_ends_when_the_store_has_lost_its_batches(
    rig: RegistryRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await rig.member("n", ttl=1)
    await member.register_session("u", 1, INFO)
    await rig.store().transaction([], [Put(rig.keys.batch("n"), b"0", member._lease_id)])  # as a backup has it
    await rig.finished(member)
    assert member.lease.fenced


async def test_an_epoch_that_comes_back_is_not_taken(rig: RegistryRig) -> None:
    registrar = rig.registrar("n")
    first = await registrar.begin()
    await first.end()
    coming = await rig.store().revision() + 1
    registrar._last = Incarnation("n", coming)  # as after a restore of a backup
    second = await registrar.begin()
    assert second.incarnation.epoch > coming


async def test_another_layout_means_that_the_store_was_wiped_and_everything_is_read_again(rig: RegistryRig) -> None:
    member, feed = await rig.member("n"), await rig.feed()
    await member.register_session("u", 1, INFO)
    await until(lambda: feed.table.session(1))
    layout = await rig.store().get(rig.keys.layout)
    assert layout is not None
    feed._catch_up.on_snapshot(layout._replace(value=b"before the wipe"))
    resyncs: list[None] = []
    feed._on_resync = lambda: resyncs.append(None)
    await until(lambda: feed.resyncs == 1)
    assert resyncs == [None]
    await until(lambda: not feed.may_lack_routes and feed.table.session(1))
    assert await feed.wait_caught_up()
    await asyncio.sleep(0)
    assert feed.resyncs == 1


async def test_a_watch_that_is_silent_is_opened_again_at_the_tables_revision(rig: RegistryRig) -> None:
    member, feed = await rig.member("n"), await rig.feed()
    await member.register_session("u", 1, INFO)
    await until(lambda: feed.table.session(1))
    await until(lambda: feed._interrupted is not None)
    feed._interrupt(WatchSilent("by order of the test"))
    await until(lambda: feed.watches_reopened == 1 and feed._interrupted is not None)
    await member.register_session("u", 2, INFO)
    await until(lambda: feed.table.session(2))
    assert feed.resyncs == 0


async def test_after_a_pause_a_table_is_unverified_until_it_has_caught_up(rig: RegistryRig) -> None:
    feed = await rig.feed()
    feed.verify()
    feed.verify()  # another pause, before the first was over
    assert feed.unverified
    await until(lambda: not feed.unverified)
    assert feed.behind_for() == 0.0
