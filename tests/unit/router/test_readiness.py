"""What a router's `/readyz` names."""

import asyncio

from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.readiness import RouterReadiness
from tests.support.table import TableFeed


class Parts:
    """A router's table and fleet over hops in memory."""

    def __init__(self) -> None:
        self.feed = TableFeed()
        self.hops: dict[Incarnation, MemoryHop] = {}
        self.fleet = Fleet(self.feed, self._make_hop)
        self.store, self.buses = "", []
        self.readiness = RouterReadiness(self.feed, self.fleet, lambda: self.store, lambda: self.buses)

    def _make_hop(self, incarnation, _node, on_change):
        self.hops[incarnation] = MemoryHop(incarnation, lambda _message: node_pb2.NodeMessage(), on_change)
        return self.hops[incarnation]


async def test_a_router_is_ready_when_its_table_is_complete_and_until_it_stops():
    parts = Parts()
    assert (await parts.readiness.check()).missing == ["its routes are not complete yet, or it stops"]
    parts.readiness.set_ready(True)
    assert (await parts.readiness.check()).ready


async def test_a_router_whose_table_does_not_follow_is_not_ready():
    parts = Parts()
    parts.readiness.set_ready(True)
    parts.feed.behind = 5.0
    assert (await parts.readiness.check()).ready
    parts.feed.behind = 6.0
    assert (await parts.readiness.check()).missing == ["its routes are 6 s behind etcd, which answers"]


async def test_a_cluster_without_gateways_is_named():
    assert (await Parts().readiness.check()).degraded == ["no gateway is registered: every push is OFFLINE"]


async def test_gateways_that_do_not_answer_are_named_up_to_a_bound():
    parts = Parts()
    for number in range(7):
        parts.feed.node(f"g{number}")
    async with asyncio.TaskGroup() as group:
        parts.fleet.start(group)
        await parts.fleet.wait_opened()
        assert (await parts.readiness.check()).degraded == []
        for hop in list(parts.hops.values())[:6]:
            hop.disconnect()
        (text,) = (await parts.readiness.check()).degraded
        parts.fleet.close()
    assert text.startswith("6 of 7 gateways do not answer: g0.")
    assert text.endswith(" and 1 more")


async def test_what_is_away_is_named_and_the_router_stays_ready():
    parts = Parts()
    parts.feed.node("g0")
    parts.readiness.set_ready(True)
    parts.store, parts.buses = "etcd at a:1 does not answer", ["bus.kafka: b:2 does not answer"]
    readiness = await parts.readiness.check()
    assert readiness.ready
    assert [text for text in readiness.degraded if "does not answer" in text] == [parts.store, *parts.buses]
