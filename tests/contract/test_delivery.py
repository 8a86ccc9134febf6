"""The delivery's contract, in both modes: the same nodes, the same pushes, the same reports; only the way differs.

Nodes are functions that hold sessions, over in-memory hops and an in-memory bus.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery, PushReport
from observability import names
from observability.counters import counters
from registry.model import Incarnation, Node
from router.caller import LOOPBACK
from router.delivery.broadcast import Broadcast
from router.delivery.port import PushDelivery
from router.delivery.routed import Routed
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.hop.port import OnChange
from router.hop.stream import HopSettings
from router.push import CallRefused
from router.push_handler import PushHandler
from runtime.bus.memory import MemoryBus
from tests.support.calls import push
from tests.support.table import TableFeed

QUEUE = 10  # calls under way, of a hop or of the bus
TRACE = "0af7651916cd43dd8448eb211c80319c"


class World:
    """Nodes, the table that knows them, and one router's delivery to them."""

    contacts_all = False  # whether every node is contacted, or owners alone

    def __init__(self) -> None:
        self.feed = TableFeed()
        self.sessions: dict[Incarnation, dict[int, str]] = {}  # sid -> user
        self.files: dict[Incarnation, set[str]] = {}
        self.hops: dict[Incarnation, MemoryHop] = {}
        self.served: list[tuple[Incarnation, node_pb2.Push]] = []  # pushes that had receivers, where they had them
        self.withholds_answers = False  # nodes do not answer
        self.withheld: list[Callable[[], None]] = []
        self.fleet = Fleet(self.feed, self._make_hop)
        self.counters = counters(names.ROUTER)
        self.delivery = self.make_delivery()
        self.pushes = PushHandler(self.delivery, max_data=1_000_000)

    def make_delivery(self) -> PushDelivery:
        raise NotImplementedError

    def _make_hop(self, incarnation: Incarnation, _node: Node, on_change: OnChange) -> MemoryHop:
        self.hops[incarnation] = MemoryHop(
            incarnation,
            lambda message: self.serve(incarnation, message),
            on_change,
            QUEUE,
            lambda incarnation, handled: self.on_handled(incarnation, handled),
        )
        return self.hops[incarnation]

    def serve(self, incarnation: Incarnation, message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        answers = node_pb2.NodeMessage()
        for one in message.pushes:
            answer = self.carry_out(incarnation, one)
            answers.pushes.append(answer or node_pb2.PushAnswer(call=one.call, verdict=node_pb2.NOT_MINE))
        return answers

    def carry_out(self, incarnation: Incarnation, one: node_pb2.Push) -> node_pb2.PushAnswer | None:
        """What a node does with a push; None: nobody of these is here."""
        found = self._find(incarnation, one.receivers)
        if not found:
            return None
        self.served.append((incarnation, one))
        answer = node_pb2.PushAnswer(call=one.call, verdict=node_pb2.DONE)
        meant = [(sid, user) for sid, user in found if sid not in one.except_sessions]
        for sid, user in meant:
            answer.deliveries.add(session=sid, user=user, outcome=Delivery.WRITTEN, latency_us=1000)
        if meant:
            answer.counts.add(outcome=Delivery.WRITTEN, sessions=len(meant))
        return answer

    def _find(self, incarnation: Incarnation, receivers: node_pb2.Receivers) -> list[tuple[int, str]]:
        mine = self.sessions.get(incarnation, {})
        kind = receivers.WhichOneof("to")
        if kind == "sessions":
            return [(sid, mine[sid]) for sid in receivers.sessions.sids if sid in mine]
        if kind == "file" and receivers.file not in self.files.get(incarnation, ()):
            return []
        return [(sid, user) for sid, user in mine.items() if kind != "user" or user == receivers.user]

    async def node(self, name: str) -> Incarnation:
        """A node comes, and its stream is there."""
        incarnation = self.feed.node(name)
        await settle()
        return incarnation

    def connect_session(self, incarnation: Incarnation, user: str, sid: int, *files: str) -> None:
        """A session connects, and is registered."""
        self.sessions.setdefault(incarnation, {})[sid] = user
        self.feed.session(incarnation, user, sid)
        for file in files:
            self.files.setdefault(incarnation, set()).add(file)
            self.feed.file(incarnation, file)

    def stall(self, incarnation: Incarnation, stalled: bool) -> None:
        """While stalled, this node does nothing."""
        raise NotImplementedError

    async def push(self, **fields: object) -> PushReport:
        return await self.pushes.push(LOOPBACK, push(push_id="p", **fields), 0)

    def on_handled(self, incarnation: Incarnation, handled: node_pb2.Handled) -> None:
        """Only broadcast has such messages."""
        raise NotImplementedError

    async def close(self) -> None:
        await self.delivery.close()


class RoutedWorld(World):
    def make_delivery(self) -> PushDelivery:
        return Routed(self.feed, self.fleet, self.counters)

    def stall(self, incarnation: Incarnation, stalled: bool) -> None:
        self.hops[incarnation].stall(stalled)


class BroadcastWorld(World):
    contacts_all = True

    def make_delivery(self) -> PushDelivery:
        self.bus = MemoryBus()
        self.readers: dict[Incarnation, asyncio.Task[None]] = {}
        self.stalled: dict[Incarnation, list[bytes]] = {}
        settings = HopSettings(queue=QUEUE)
        return Broadcast("router.1", self.bus.publisher(), self.feed, self.fleet, settings, self.counters)

    def on_handled(self, incarnation: Incarnation, handled: node_pb2.Handled) -> None:
        assert isinstance(self.delivery, Broadcast)
        self.delivery.on_handled(incarnation, handled)

    def _make_hop(self, incarnation: Incarnation, node: Node, on_change: OnChange) -> MemoryHop:
        hop = super()._make_hop(incarnation, node, on_change)
        self.readers[incarnation] = asyncio.ensure_future(self._read(incarnation))
        return hop

    async def _read(self, incarnation: Incarnation) -> None:
        subscriber = self.bus.subscriber()
        await subscriber.open()
        self.hops[incarnation].report_handled(node_pb2.Handled(begins=True))
        await subscriber.run(lambda raw: self._on_message(incarnation, raw))

    def _on_message(self, incarnation: Incarnation, raw: bytes) -> None:
        if incarnation in self.stalled:
            self.stalled[incarnation].append(raw)
            return
        message = node_pb2.Broadcast.FromString(raw)
        assert message.router == "router.1"
        handled = node_pb2.Handled()
        handled.spans.add(first=message.pushes[0].call, last=message.pushes[-1].call)
        for one in message.pushes:
            assert one.epoch == 0
            answer = self.carry_out(incarnation, one)
            if answer is not None and self.withholds_answers:
                handled.taken.append(one.call)
                self.withheld.append(lambda answer=answer: self._report_answer(incarnation, answer))
            elif answer is not None:
                handled.answers.append(answer)
        self.hops[incarnation].report_handled(handled)

    def _report_answer(self, incarnation: Incarnation, answer: node_pb2.PushAnswer) -> None:
        self.hops[incarnation].report_handled(node_pb2.Handled(answers=[answer]))

    def stall(self, incarnation: Incarnation, stalled: bool) -> None:
        if stalled:
            self.stalled[incarnation] = []
            return
        for raw in self.stalled.pop(incarnation):
            self._on_message(incarnation, raw)

    async def close(self) -> None:
        await super().close()
        for reader in self.readers.values():
            reader.cancel()
        await asyncio.gather(*self.readers.values(), return_exceptions=True)


async def settle() -> None:
    """Let everything that can happen now happen."""
    for _ in range(10):
        await asyncio.sleep(0)


async def running(made: World) -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        made.fleet.start(group)
        yield made
        await made.close()
        made.fleet.close()


@pytest.fixture(params=[RoutedWorld, BroadcastWorld])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async for made in running(request.param()):
        yield made


@pytest.fixture
async def broadcast() -> AsyncIterator[BroadcastWorld]:
    async for made in running(BroadcastWorld()):
        yield made


def facts(report: PushReport) -> tuple[dict[str, int], int]:
    return dict(report.counts), report.owning_nodes


# What both modes promise ----------------------------------------------------------------------------------------------


async def test_each_target_reaches_its_receivers_and_the_report_names_them(world: World) -> None:
    one, two, _ = [await world.node(name) for name in ("one", "two", "three")]
    world.connect_session(one, "ada", 1, "doc")
    world.connect_session(two, "ada", 2)
    world.connect_session(two, "eve", 3, "doc")
    for target, owners, counted in (
        ({"session": 1}, {one}, 1),
        ({"user": "ada"}, {one, two}, 2),
        ({"file": "doc"}, {one, two}, 3),
    ):
        world.served.clear()
        report = await world.push(**target)
        assert facts(report) == ({"WRITTEN": counted}, len(owners))
        assert {incarnation for incarnation, _ in world.served} == owners
        assert {d.node for d in report.deliveries} == {incarnation.node for incarnation in owners}
        contacted = 3 if world.contacts_all else len(owners)
        assert (report.nodes_contacted, report.amplification) == (contacted, contacted / len(owners))
    assert facts(await world.push(everyone=True))[0] == {"WRITTEN": 3}
    assert world.counters.unreachable == 0


async def test_nobody_there_is_one_offline_delivery(world: World) -> None:
    await world.node("one")
    for target in ({"user": "nobody"}, {"session": 9}, {"file": "none"}, {"everyone": True}):
        report = await world.push(**target)
        assert facts(report) == ({"OFFLINE": 1}, 0)
        assert [(d.session, d.outcome) for d in report.deliveries] == [(0, Delivery.OFFLINE)]
        assert not report.healed
    world.feed.node_gone("one")
    assert facts(await world.push(user="nobody")) == ({"OFFLINE": 1}, 0)


async def test_excepted_sessions_get_nothing_and_do_not_make_a_target_offline(world: World) -> None:
    one = await world.node("one")
    world.connect_session(one, "ada", 1)
    world.connect_session(one, "ada", 2)
    assert facts(await world.push(user="ada", except_sessions=[1])) == ({"WRITTEN": 1}, 1)
    assert facts(await world.push(user="ada", except_sessions=[1, 2])) == ({}, 1)
    assert facts(await world.push(everyone=True, except_sessions=[1, 2])) == ({}, 1)


async def test_order_of_the_start_calls_is_kept_per_target(world: World) -> None:
    one = await world.node("one")
    world.connect_session(one, "ada", 1)
    world.connect_session(one, "eve", 2)
    pushes = [world.push(user=("ada", "eve")[n % 2], event=f"e{n}") for n in range(QUEUE)]
    await asyncio.gather(*pushes)
    for user in "ada", "eve":
        events = [one.event for _, one in world.served if one.receivers.user == user]
        assert events == sorted(events)
        assert len(events) == QUEUE / 2


async def test_a_full_queue_refuses_and_nothing_was_sent(world: World) -> None:
    one = await world.node("one")
    world.connect_session(one, "ada", 1)
    world.stall(one, True)
    stuck = [asyncio.ensure_future(world.push(session=1)) for _ in range(QUEUE)]
    await settle()
    with pytest.raises(CallRefused) as caught:
        await world.push(user="ada")
    assert (caught.value.code, bool(caught.value.retry_after)) == ("RESOURCE_EXHAUSTED", True)
    assert world.counters.pushes_refused == 1
    world.stall(one, False)
    assert [dict((await push).counts) for push in stuck] == [{"WRITTEN": 1}] * QUEUE


async def test_a_node_whose_stream_breaks_is_unreachable_at_once(world: World) -> None:
    one, two = await world.node("one"), await world.node("two")
    world.connect_session(one, "ada", 1)
    world.connect_session(two, "ada", 2)
    world.stall(one, True)
    pushing = asyncio.ensure_future(world.push(user="ada"))
    await settle()
    assert not pushing.done()
    world.hops[one].disconnect()
    assert facts(await pushing) == ({"UNREACHABLE": 1, "WRITTEN": 1}, 1)
    assert facts(await world.push(user="ada")) == ({"UNREACHABLE": 1, "WRITTEN": 1}, 1)
    assert world.counters.unreachable == 2


async def test_a_dead_node_has_no_sessions_once_its_key_is_gone_and_its_stream_down(world: World) -> None:
    one = await world.node("one")
    world.connect_session(one, "ada", 1)
    world.feed.node_gone("one")
    assert facts(await world.push(session=1)) == ({"WRITTEN": 1}, 1)  # it lingers while its stream lives
    world.hops[one].disconnect()
    assert facts(await world.push(session=1)) == ({"OFFLINE": 1}, 0)


async def test_a_trace_id_comes_back(world: World) -> None:
    await world.node("one")
    report = await world.push(user="nobody", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    assert report.trace_id == TRACE


async def test_a_router_that_stops_ends_what_waits(world: World) -> None:
    one = await world.node("one")
    world.connect_session(one, "ada", 1)
    assert facts(await world.push(session=1)) == ({"WRITTEN": 1}, 1)
    await world.delivery.close()


# What only broadcast has to promise -----------------------------------------------------------------------------------


async def test_what_gathers_leaves_as_one_message(broadcast: BroadcastWorld) -> None:
    one = await broadcast.node("one")
    broadcast.connect_session(one, "ada", 1)
    await asyncio.gather(*(broadcast.push(session=1) for _ in range(QUEUE)))
    assert len(broadcast.bus.published) == 1
    message = node_pb2.Broadcast.FromString(broadcast.bus.published[0])
    assert [one.call for one in message.pushes] == list(range(1, QUEUE + 1))
    assert broadcast.counters.bus_messages == 1
    assert broadcast.counters.bus_bytes == len(broadcast.bus.published[0])


async def test_a_session_is_in_one_place_and_its_report_waits_for_no_other(broadcast: BroadcastWorld) -> None:
    one, two = await broadcast.node("one"), await broadcast.node("two")
    broadcast.connect_session(one, "ada", 1)
    broadcast.stall(two, True)
    assert facts(await broadcast.push(session=1)) == ({"WRITTEN": 1}, 1)
    waiting = asyncio.ensure_future(broadcast.push(user="ada"))  # a user may be in several
    await settle()
    assert not waiting.done()
    broadcast.stall(two, False)
    assert facts(await waiting) == ({"WRITTEN": 1}, 1)


async def test_an_answer_that_comes_later_than_the_rest_is_waited_for(broadcast: BroadcastWorld) -> None:
    one, two = await broadcast.node("one"), await broadcast.node("two")
    broadcast.connect_session(one, "ada", 1)
    broadcast.connect_session(two, "ada", 2)
    broadcast.withholds_answers = True
    waiting = asyncio.ensure_future(broadcast.push(user="ada"))
    await settle()
    broadcast.withholds_answers = False
    assert facts(await broadcast.push(user="nobody")) == ({"OFFLINE": 1}, 0)  # later ones are not held up
    first, second = broadcast.withheld
    first()
    await settle()
    assert not waiting.done()
    second()
    assert facts(await waiting) == ({"WRITTEN": 2}, 2)


async def test_what_the_bus_lost_is_unreachable_as_soon_as_it_shows(broadcast: BroadcastWorld) -> None:
    one, two = await broadcast.node("one"), await broadcast.node("two")
    broadcast.connect_session(one, "ada", 1)
    broadcast.bus.drop_next = 1
    lost = asyncio.ensure_future(broadcast.push(user="ada"))
    await settle()
    assert not lost.done()
    assert facts(await broadcast.push(user="ada")) == ({"WRITTEN": 1}, 1)
    report = await lost
    assert facts(report) == ({"UNREACHABLE": 2}, 0)
    assert {d.node for d in report.deliveries} == {one.node, two.node}


async def test_a_node_that_never_answers_is_unreachable_after_the_limit(
    broadcast: BroadcastWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.delivery.broadcast.PUSH_LIMIT", 0.01)
    monkeypatch.setattr("router.delivery.broadcast.EXPIRY_INTERVAL", 0.01)
    one, two = await broadcast.node("one"), await broadcast.node("two")
    broadcast.connect_session(one, "ada", 1)
    broadcast.stall(two, True)
    report = await broadcast.push(user="ada")
    assert facts(report) == ({"WRITTEN": 1, "UNREACHABLE": 1}, 1)
    assert report.deliveries[0].node == two.node
    broadcast.stall(two, False)  # a late answer changes nothing
    assert facts(await broadcast.push(user="ada")) == ({"WRITTEN": 1}, 1)


async def test_a_bus_that_is_away_makes_every_node_unreachable(broadcast: BroadcastWorld) -> None:
    one, two = await broadcast.node("one"), await broadcast.node("two")
    broadcast.connect_session(one, "ada", 1)
    broadcast.bus.set_available(False)
    report = await broadcast.push(user="ada")
    assert facts(report) == ({"UNREACHABLE": 2}, 0)
    assert {d.node for d in report.deliveries} == {one.node, two.node}
    assert broadcast.counters.bus_away == 1
    broadcast.bus.set_available(True)
    assert facts(await broadcast.push(user="ada")) == ({"WRITTEN": 1}, 1)


async def test_a_push_that_the_bus_does_not_take_is_refused_and_no_other(broadcast: BroadcastWorld) -> None:
    one = await broadcast.node("one")
    broadcast.connect_session(one, "ada", 1)
    broadcast.bus.max_message_size = 2000
    small, large = b'"%s"' % (b"x" * 900), b'"%s"' % (b"x" * 2500)
    results = await asyncio.gather(
        *(broadcast.push(session=1, data=data) for data in (small, small, large, small)), return_exceptions=True
    )
    assert [isinstance(result, CallRefused) for result in results] == [False, False, True, False]
    assert (results[2].code, results[2].field) == ("INVALID_ARGUMENT", "data")
    assert "at most 2000 bytes" in str(results[2])
    assert len(broadcast.served) == 3
    calls = [one.call for raw in broadcast.bus.published for one in node_pb2.Broadcast.FromString(raw).pushes]
    assert calls == [1, 2, 3]  # no hole that nodes would take for a loss


async def test_a_node_that_comes_later_or_comes_back_is_not_waited_for_about_what_was_before(
    broadcast: BroadcastWorld,
) -> None:
    one = await broadcast.node("one")
    broadcast.connect_session(one, "ada", 1)
    broadcast.stall(one, True)
    before = asyncio.ensure_future(broadcast.push(user="ada"))
    await settle()
    await broadcast.node("two")
    broadcast.stall(one, False)
    assert facts(await before) == ({"WRITTEN": 1}, 1)
    assert (await before).nodes_contacted == 1
    broadcast.hops[one].disconnect()
    assert facts(await broadcast.push(user="ada")) == ({"UNREACHABLE": 1}, 0)
    broadcast.hops[one].connect()
    broadcast.hops[one].report_handled(node_pb2.Handled(begins=True))
    assert facts(await broadcast.push(user="ada")) == ({"WRITTEN": 1}, 1)


async def test_a_stop_while_the_bus_hangs_refuses_what_was_not_sent(broadcast: BroadcastWorld) -> None:
    one = await broadcast.node("one")
    broadcast.connect_session(one, "ada", 1)
    broadcast.bus.stall(True)
    sent = asyncio.ensure_future(broadcast.push(user="ada"))
    await settle()
    unsent = asyncio.ensure_future(broadcast.push(user="ada"))
    await settle()
    await broadcast.delivery.close()
    assert facts(await sent) == ({"UNREACHABLE": 1}, 0)
    with pytest.raises(CallRefused, match="nothing was sent") as caught:
        await unsent
    assert caught.value.code == "UNAVAILABLE"
