"""Watch: what is there, `synced`, then differences; a watch of nodes has their figures for as long as it lasts."""

import pytest

from homing.v1 import router_pb2 as pb
from router.push import CallRefused
from router.watch import WatchCalls
from tests.support.router import RouterRig


async def test_a_user_s_sessions_come_and_go() -> None:
    async with RouterRig.running() as rig:
        one = rig.feed.node("one")
        rig.feed.session(one, "ada", 3)
        changes = WatchCalls(rig.feed, rig.fleet).watch(pb.WatchRequest(user="ada"))
        assert (await anext(changes)).came.session == 3
        assert (await anext(changes)).synced
        rig.feed.session(one, "ada", 4)
        rig.feed.session_gone(one, "ada", 3)
        assert (await anext(changes)).left == 3
        assert (await anext(changes)).came.session == 4
        await changes.aclose()  # type: ignore[attr-defined]


async def test_a_user_that_is_not_known_is_looked_for_once_more() -> None:
    async with RouterRig.running() as rig:
        one = rig.feed.node("one")
        rig.feed.later.append(lambda: rig.feed.session(one, "ada", 3))
        changes = WatchCalls(rig.feed, rig.fleet).watch(pb.WatchRequest(user="ada"))
        assert (await anext(changes)).came.session == 3
        await changes.aclose()  # type: ignore[attr-defined]


async def test_nodes_come_with_their_figures_and_go() -> None:
    async with RouterRig.running() as rig:
        one = rig.feed.node("one")
        changes = WatchCalls(rig.feed, rig.fleet).watch(pb.WatchRequest(nodes=True))
        up = (await anext(changes)).node_up
        assert (up.node, up.epoch, up.sessions) == ("one", one.epoch, 1)
        assert (await anext(changes)).synced
        rig.feed.node_gone("one")
        assert (await anext(changes)).node_down == "one"
        await changes.aclose()  # type: ignore[attr-defined]
        rig.feed.node("two")
        assert rig.hops["two"].stats is None, "nobody watches any more"


@pytest.mark.parametrize(("request_", "field"), [({}, "of"), ({"user": ""}, "user"), ({"nodes": False}, "nodes")])
def test_what_is_not_named_is_refused_at_once(request_: dict[str, object], field: str) -> None:
    rig = RouterRig()
    with pytest.raises(CallRefused) as caught:
        WatchCalls(rig.feed, rig.fleet).watch(pb.WatchRequest(**request_))
    assert caught.value.field == field
