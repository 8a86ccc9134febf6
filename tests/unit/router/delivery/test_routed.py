"""Routed delivery over in-memory hops: plan, send, heal, report."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery, PushReport
from observability import names
from observability.counters import counters
from observability.tracing import OFF, Tracer
from registry.model import Incarnation, Node
from router.caller import LOOPBACK
from router.delivery import routed
from router.delivery.routed import HEALINGS, Routed
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.hop.port import OnChange
from router.push import CallRefused
from router.push_handler import PushHandler
from tests.support.calls import push
from tests.support.table import TableFeed


class World:
    """Nodes that hold sessions, a table that may lag behind them, and a router's delivery over both."""

    def __init__(self, tracer: Tracer = OFF) -> None:
        self.feed = TableFeed()
        self.sessions: dict[Incarnation, dict[int, str]] = {}  # of each incarnation in fact: sid -> user
        self.hops: dict[Incarnation, MemoryHop] = {}
        self.over: set[Incarnation] = set()  # these answer OLD_EPOCH
        self.served: list[tuple[Incarnation, node_pb2.Push]] = []
        self.fleet = Fleet(self.feed, self.make_hop)
        self.counters = counters(names.ROUTER)
        self.routed = Routed(self.feed, self.fleet, self.counters, tracer)
        self.pushes = PushHandler(self.routed, max_data=1000)

    def make_hop(self, incarnation: Incarnation, _node: Node, on_change: OnChange) -> MemoryHop:
        self.hops[incarnation] = MemoryHop(
            incarnation, lambda message: self.serve(incarnation, message), on_change, queue=10
        )
        return self.hops[incarnation]

    def serve(self, incarnation: Incarnation, message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        answers = node_pb2.NodeMessage()
        for one in message.pushes:
            self.served.append((incarnation, one))
            if incarnation in self.over:
                answers.pushes.add(call=one.call, verdict=node_pb2.OLD_EPOCH)
                continue
            found = self._find(incarnation, one.receivers)
            answer = answers.pushes.add(call=one.call, verdict=node_pb2.DONE if found else node_pb2.NOT_MINE)
            for sid, user in found:
                answer.deliveries.add(session=sid, user=user, outcome=Delivery.WRITTEN, latency_us=1000)
            if found:
                answer.counts.add(outcome=Delivery.WRITTEN, sessions=len(found))
        return answers

    def _find(self, incarnation: Incarnation, receivers: node_pb2.Receivers) -> list[tuple[int, str]]:
        mine = self.sessions.get(incarnation, {})
        if receivers.WhichOneof("to") == "sessions":
            return [(sid, mine[sid]) for sid in receivers.sessions.sids if sid in mine]
        return [(sid, user) for sid, user in mine.items() if user == receivers.user]

    def connect(self, incarnation: Incarnation, user: str, sid: int, known: bool = True) -> None:
        """A session connects; the table learns of it now, or when it next catches up."""
        self.sessions.setdefault(incarnation, {})[sid] = user
        learn = lambda: self.feed.session(incarnation, user, sid)  # noqa: E731
        learn() if known else self.feed.later.append(learn)

    def end(self, incarnation: Incarnation, user: str, sid: int) -> None:
        """A session ends; the table learns of it when it next catches up."""
        del self.sessions[incarnation][sid]
        self.feed.later.append(lambda: self.feed.session_gone(incarnation, user, sid))

    async def push(self, **fields: object) -> PushReport:
        return await self.pushes.push(LOOPBACK, push(push_id="p", **fields), 0)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        world.fleet.start(group)
        yield world
        world.fleet.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running(World()) as world:
        yield world


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(20):
        await asyncio.sleep(0)


def facts(report: PushReport) -> tuple[dict[str, int], int, int]:
    return dict(report.counts), report.nodes_contacted, report.owning_nodes


async def test_one_message_to_each_owner_and_none_to_others(world: World) -> None:
    one, two, three = (world.feed.node(name) for name in ("one", "two", "three"))
    world.connect(one, "ada", 1)
    world.connect(two, "ada", 2)
    world.connect(three, "bob", 3)
    report = await world.push(user="ada")
    assert facts(report) == ({"WRITTEN": 2}, 2, 2)
    assert (report.amplification, report.healed, world.feed.reads) == (1.0, False, 0)
    assert {incarnation for incarnation, _ in world.served} == {one, two}
    assert all(one.epoch == incarnation.epoch for incarnation, one in world.served)


async def test_a_miss_is_final_only_with_a_table_that_has_caught_up(world: World) -> None:
    one = world.feed.node("one")
    world.connect(one, "ada", 1, known=False)
    assert facts(await world.push(session=1)) == ({"WRITTEN": 1}, 1, 1)
    assert world.feed.reads == 1
    assert facts(await world.push(session=2)) == ({"OFFLINE": 1}, 0, 0)
    assert world.feed.reads == 2


async def test_offline_is_one_delivery_without_a_session(world: World) -> None:
    report = await world.push(user="nobody")
    assert [(d.session, d.outcome) for d in report.deliveries] == [(0, Delivery.OFFLINE)]
    assert report.amplification == 0.0


async def test_a_stale_route_is_healed_inside_the_call(world: World) -> None:
    one, two = world.feed.node("one"), world.feed.node("two")
    world.connect(one, "ada", 1)
    world.end(one, "ada", 1)
    world.connect(two, "ada", 1, known=False)
    report = await world.push(session=1)
    assert facts(report) == ({"WRITTEN": 1}, 2, 1)
    assert (report.healed, report.amplification) == (True, 2.0)


async def test_healing_does_not_wait_for_the_slowest_owner_and_later_pushes_wait_behind_it(world: World) -> None:
    one, two, three = (world.feed.node(name) for name in ("one", "two", "three"))
    world.connect(one, "ada", 1)
    world.connect(two, "ada", 2)
    world.end(one, "ada", 1)
    world.connect(three, "ada", 1, known=False)
    world.hops[two].stall(True)  # as if it waited for an ack
    first = asyncio.ensure_future(world.push(user="ada", event="first"))
    second = asyncio.ensure_future(world.push(user="ada", event="second"))
    while len([incarnation for incarnation, _ in world.served if incarnation == three]) < 2:
        await asyncio.sleep(0)
    assert not first.done()
    assert [one.event for incarnation, one in world.served if incarnation == three] == ["first", "second"]
    world.hops[two].stall(False)
    assert facts(await first) == ({"WRITTEN": 2}, 3, 2)
    assert (await second).healed


async def test_a_new_owner_waits_for_pushes_in_flight_but_not_for_acks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routed, "SETTLE_LIMIT", 0.0)
    one, two = world.feed.node("one"), world.feed.node("two")
    world.connect(one, "ada", 1)
    world.hops[one].stall(True)  # as if it waited for an ack
    first = asyncio.ensure_future(world.push(user="ada", event="first"))
    await settle()
    world.connect(two, "ada", 2)  # the first push could still be healed, and sent here
    second = asyncio.ensure_future(world.push(user="ada", event="second"))
    await asyncio.sleep(0)
    assert world.served == []
    await settle()  # the limit has passed
    assert [(incarnation, message.event) for incarnation, message in world.served] == [(two, "second")]
    third = asyncio.ensure_future(world.push(user="ada", event="third"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [message.event for _, message in world.served] == ["second", "third"]  # at once
    world.hops[one].stall(False)
    assert [facts(await report)[0] for report in (first, second, third)] == [{"WRITTEN": 1}, *[{"WRITTEN": 2}] * 2]
    assert world.feed.reads == 0  # the table was never behind


async def test_a_router_that_stops_ends_what_waits(world: World) -> None:
    async def never() -> bool:
        await asyncio.Event().wait()
        return True

    world.feed.wait_caught_up = never  # type: ignore[method-assign]
    waiting = asyncio.ensure_future(world.push(user="nobody"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await world.routed.close()
    with pytest.raises(CallRefused) as caught:
        await waiting
    assert caught.value.code == "UNAVAILABLE"


async def test_a_push_that_was_started_right_before_the_stop_is_refused_too(world: World) -> None:
    results = []
    world.pushes.start(LOOPBACK, push(user="nobody", push_id="p"), 0, results.append)
    await world.routed.close()
    assert [result.code for result in results] == ["UNAVAILABLE"]


async def test_a_session_that_just_went_is_offline_after_one_read(world: World) -> None:
    one = world.feed.node("one")
    world.connect(one, "ada", 1)
    world.end(one, "ada", 1)
    report = await world.push(session=1)
    assert (facts(report), report.healed) == (({"OFFLINE": 1}, 1, 0), False)


async def test_a_node_without_an_answer_is_unreachable_for_each_session_that_the_table_knows(
    world: World,
) -> None:
    one, two = world.feed.node("one"), world.feed.node("two")
    world.connect(one, "ada", 1)
    world.connect(one, "ada", 2)
    world.connect(two, "ada", 3)
    world.hops[one].disconnect()
    report = await world.push(user="ada")
    assert facts(report) == ({"UNREACHABLE": 2, "WRITTEN": 1}, 2, 1)
    assert [(d.session, d.node) for d in report.deliveries] == [(1, "one"), (2, "one"), (3, "two")]
    world.feed.file(one, "doc")
    report = await world.push(file="doc")
    assert [(d.session, d.node, d.outcome) for d in report.deliveries] == [(0, "one", Delivery.UNREACHABLE)]


async def test_a_stream_that_breaks_under_way_answers_at_once(world: World) -> None:
    one = world.feed.node("one")
    world.connect(one, "ada", 1)
    world.hops[one].stall(True)
    pushing = asyncio.ensure_future(world.push(session=1))
    await asyncio.sleep(0)
    world.hops[one].disconnect()
    assert facts(await pushing) == ({"UNREACHABLE": 1}, 1, 0)


async def test_a_dead_node_is_offline_once_its_key_is_gone_and_its_stream_down(world: World) -> None:
    one = world.feed.node("one")
    world.connect(one, "ada", 1)
    world.feed.node_gone("one")
    assert facts(await world.push(session=1)) == ({"WRITTEN": 1}, 1, 1)  # it lingers while its stream lives
    world.hops[one].disconnect()
    assert facts(await world.push(session=1)) == ({"OFFLINE": 1}, 0, 0)


async def test_a_full_queue_refuses_the_push_before_anything_is_sent(world: World) -> None:
    one, two = world.feed.node("one"), world.feed.node("two")
    world.connect(one, "ada", 1)
    world.connect(two, "ada", 2)
    world.hops[one].stall(True)
    stuck = [asyncio.ensure_future(world.push(session=1)) for _ in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(CallRefused) as caught:
        await world.push(user="ada")
    assert (caught.value.code, bool(caught.value.retry_after)) == ("RESOURCE_EXHAUSTED", True)
    assert world.served == []
    assert facts(await world.push(session=2)) == ({"WRITTEN": 1}, 1, 1)  # a slow node delays nobody else
    world.hops[one].stall(False)
    assert {tuple(dict((await one).counts)) for one in stuck} == {("WRITTEN",)}


async def test_a_node_with_unregistered_sessions_is_asked_as_well(world: World) -> None:
    one, two = world.feed.node("one"), world.feed.node("two")
    world.connect(one, "ada", 1)
    world.sessions[two] = {2: "ada", 3: "eve"}
    world.hops[two].report_unregistered(True)
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 2}, 2, 2)
    assert facts(await world.push(session=3)) == ({"WRITTEN": 1}, 1, 1)
    world.feed.readable = False
    report = await world.push(session=99)
    assert (facts(report), report.registry_away) == (({"OFFLINE": 1}, 1, 0), True)
    world.hops[two].report_unregistered(False)
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 1}, 1, 1)


async def test_a_trace_id_comes_back(world: World) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    report = await world.push(user="nobody", traceparent=f"00-{trace}-b7ad6b7169203331-01")
    assert report.trace_id == trace
    assert (await world.push(user="nobody", traceparent="nonsense")).trace_id == ""


async def test_a_wrong_live_owner_is_healed_by_the_older_record_and_then_forgotten(world: World) -> None:
    right, wrong = world.feed.node("right"), world.feed.node("wrong")
    world.connect(right, "ada", 1)
    world.feed.session(wrong, "ada", 1)  # a newer record, of a node that never had the session
    report = await world.push(session=1)
    assert (facts(report), report.healed) == (({"WRITTEN": 1}, 2, 1), True)
    report = await world.push(session=1)
    assert (facts(report), report.healed) == (({"WRITTEN": 1}, 1, 1), False)
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 1}, 1, 1)


async def test_a_wrong_owner_of_one_of_a_users_sessions_leaves_none_of_them_out(world: World) -> None:
    right, wrong = world.feed.node("right"), world.feed.node("wrong")
    world.connect(right, "ada", 1)
    world.connect(wrong, "ada", 2)
    world.feed.session(wrong, "ada", 1)
    report = await world.push(user="ada")
    assert (facts(report), report.healed) == (({"WRITTEN": 2}, 2, 2), True)
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 2}, 2, 2)


async def test_a_node_between_two_incarnations_is_unreachable_and_never_offline(world: World) -> None:
    one, two = world.feed.node("one"), world.feed.node("two")
    world.connect(one, "ada", 1)
    world.connect(two, "ada", 2)
    world.over.add(one)
    report = await world.push(user="ada")
    assert facts(report) == ({"UNREACHABLE": 1, "WRITTEN": 1}, 2, 1)
    assert [(d.session, d.node) for d in report.deliveries if d.outcome == Delivery.UNREACHABLE] == [(1, "one")]
    assert facts(await world.push(session=1)) == ({"UNREACHABLE": 1}, 1, 0)
    assert world.counters.unreachable == 2


async def test_a_node_that_has_begun_another_incarnation_without_the_session_is_offline(world: World) -> None:
    one = world.feed.node("one")
    world.connect(one, "ada", 1)
    world.over.add(one)
    world.feed.later.append(lambda: world.feed.node("one"))
    assert facts(await world.push(session=1)) == ({"OFFLINE": 1}, 1, 0)


async def test_a_scattering_node_between_two_incarnations_is_unreachable(world: World) -> None:
    one, two = world.feed.node("one"), world.feed.node("two")
    world.connect(one, "ada", 1)
    world.hops[two].report_unregistered(True)
    world.over.add(two)
    assert facts(await world.push(user="ada")) == ({"UNREACHABLE": 1, "WRITTEN": 1}, 2, 1)


async def test_two_records_that_are_wrong_crosswise_are_both_healed(world: World) -> None:
    one, two, three = (world.feed.node(name) for name in ("one", "two", "three"))
    world.connect(one, "ada", 1)
    world.connect(two, "ada", 2)
    world.feed.session(two, "ada", 1)  # newer than the right one; `two` has as many sessions as the table says
    world.feed.session(three, "ada", 2)
    report = await world.push(user="ada")
    assert (dict(report.counts), report.healed) == ({"WRITTEN": 2}, True)
    assert {delivery.session for delivery in report.deliveries} == {1, 2}


async def test_a_session_with_several_wrong_records_is_reached_in_the_same_call(world: World) -> None:
    right, *wrong = (world.feed.node(str(number)) for number in range(HEALINGS + 1))
    world.connect(right, "ada", 1)
    for other in wrong:
        world.feed.session(other, "ada", 1)
    report = await world.push(user="ada")
    assert (facts(report), report.healed) == (({"WRITTEN": 1}, HEALINGS + 1, 1), True)
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 1}, 1, 1)


async def test_a_session_with_more_wrong_records_is_unreachable_and_right_in_the_next_call(world: World) -> None:
    right, *wrong = (world.feed.node(str(number)) for number in range(HEALINGS + 2))
    world.connect(right, "ada", 1)
    for other in wrong:
        world.feed.session(other, "ada", 1)
    first = await world.push(user="ada")
    assert (facts(first), first.healed) == (({"UNREACHABLE": 1}, HEALINGS + 1, 0), True)
    assert first.deliveries[0].session == 1
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 1}, 1, 1)


async def test_a_wrong_record_above_an_incarnation_that_is_over_is_healed_twice(world: World) -> None:
    old = world.feed.node("one")
    world.connect(old, "ada", 1)
    wrong = world.feed.node("two")
    world.feed.session(wrong, "ada", 1)
    world.over.add(old)
    report = await world.push(session=1)
    assert (facts(report), report.healed) == (({"UNREACHABLE": 1}, 2, 0), True)


async def test_a_push_behind_one_that_is_healed_twice_does_not_overtake_it(world: World) -> None:
    right, below, above = (world.feed.node(name) for name in ("right", "below", "above"))
    world.connect(right, "ada", 1)
    world.feed.session(below, "ada", 1)
    world.feed.session(above, "ada", 1)
    reports = await asyncio.gather(*(world.push(user="ada", data=b"%d" % number) for number in range(5)))
    assert [dict(report.counts) for report in reports] == [{"WRITTEN": 1}] * 5
    assert [push.data for incarnation, push in world.served if incarnation == right] == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_second_wrong_record_of_a_session_that_another_node_has_found_changes_nothing(world: World) -> None:
    one, two, three = (world.feed.node(name) for name in ("one", "two", "three"))
    world.connect(one, "ada", 1)
    world.connect(one, "ada", 2)
    world.feed.session(two, "ada", 1)
    world.feed.session(three, "ada", 1)
    report = await world.push(user="ada")
    assert dict(report.counts) == {"WRITTEN": 2}
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 2}, 1, 1)


async def test_after_a_pause_a_known_route_waits_until_the_table_has_caught_up(world: World) -> None:
    one, two = world.feed.node("one"), world.feed.node("two")
    world.connect(one, "ada", 1)
    world.connect(two, "ada", 2, known=False)
    world.feed.verify()
    world.feed.later.append(lambda: setattr(world.feed, "unverified", False))
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 2}, 2, 2)
    assert facts(await world.push(user="ada")) == ({"WRITTEN": 2}, 2, 2)
    assert world.feed.reads == 1


async def test_a_report_that_may_lack_a_session_says_so(world: World) -> None:
    one = world.feed.node("one")
    world.connect(one, "ada", 1)
    world.feed.may_lack_routes = True
    assert (await world.push(user="ada")).registry_away
    assert not (await world.push(session=1)).registry_away, "a session has one owner"


async def test_a_session_that_has_just_closed_is_offline_and_its_record_counts_no_more(world: World) -> None:
    one = world.feed.node("one")
    world.feed.session(one, "ada", 1)  # its key is not deleted yet
    assert facts(await world.push(session=1)) == ({"OFFLINE": 1}, 1, 0)
    assert world.feed.table.session(1) is None
    world.feed.session(one, "ada", 1)
    assert world.feed.table.session(1) is not None, "a record that is written again counts"


async def test_a_record_is_not_distrusted_while_the_registry_cannot_be_read(world: World) -> None:
    one = world.feed.node("one")
    world.feed.session(one, "ada", 1)
    world.feed.readable = False
    assert (await world.push(session=1)).registry_away
    assert world.feed.table.session(1) is not None
