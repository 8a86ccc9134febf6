"""Locate names the nodes that a push would go to, in both modes, and never a number that the table does not know."""

from typing import Any

import pytest

from homing.v1 import router_pb2 as pb
from registry.model import Incarnation, Node
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.hop.port import OnChange
from router.locate import LocateCalls
from tests.support.table import TableFeed


def make_hop(incarnation: Incarnation, _node: Node, on_change: OnChange) -> MemoryHop:
    return MemoryHop(incarnation, lambda _message: None, on_change, 10, lambda _incarnation, _handled: None)


class Rig:
    """Two nodes; ada is on one, and in the file doc."""

    def __init__(self, broadcasts: bool) -> None:
        self.feed = TableFeed()
        self.locate = LocateCalls(self.feed, Fleet(self.feed, make_hop), broadcasts)
        one, _ = self.feed.node("one"), self.feed.node("two")
        self.feed.session(one, "ada", 1)
        self.feed.file(one, "doc")

    async def routes(self, **target: Any) -> tuple[list[tuple[str, int | None, str]], str]:
        response = await self.locate.answer(pb.LocateRequest(target=pb.Target(**target)))
        routes = [
            (r.node, r.sessions if r.HasField("sessions") else None, pb.Route.Source.Name(r.source))
            for r in response.routes
        ]
        return sorted(routes, key=lambda route: route[0]), response.why


@pytest.mark.parametrize(("target", "sessions"), [({"user": "ada"}, 1), ({"session": 1}, 1), ({"file": "doc"}, None)])
async def test_routed_the_owners_are_named(target: dict[str, Any], sessions: int | None) -> None:
    assert await Rig(broadcasts=False).routes(**target) == ([("one", sessions, "TABLE")], "")


async def test_routed_everyone_is_on_every_node_and_nobody_counts_them() -> None:
    assert (await Rig(broadcasts=False).routes(everyone=True))[0] == [("one", None, "TABLE"), ("two", None, "TABLE")]


@pytest.mark.parametrize(
    ("target", "sessions"),
    [({"user": "ada"}, (1, 0)), ({"session": 1}, (1, 0)), ({"file": "doc"}, (None, None)), ({"user": "eve"}, (0, 0))],
)
async def test_broadcast_every_node_is_named_as_every_node_reads_the_push(
    target: dict[str, Any], sessions: tuple[int | None, int | None]
) -> None:
    routes, why = await Rig(broadcasts=True).routes(**target)
    assert routes == [(node, known, "BROADCAST") for node, known in zip(("one", "two"), sessions, strict=True)]
    assert bool(why) == (target == {"user": "eve"})


async def test_without_an_owner_it_says_so() -> None:
    routes, why = await Rig(broadcasts=False).routes(user="eve")
    assert (routes, why) == (
        [],
        "no live session of user eve, by a table that holds everything committed before this call",
    )
