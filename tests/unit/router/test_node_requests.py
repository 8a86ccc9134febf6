"""Requests to owning nodes: every owner is contacted, a stale route is healed once, silence is an answer."""

import asyncio

import pytest

from homing.internal.v1 import node_pb2
from router import node_requests
from router.push import Target
from tests.support.router import RouterRig, done


def make() -> node_pb2.NodeRequest:
    return node_pb2.NodeRequest(presence=node_pb2.FilePresence(file="f", limit=1))


async def answers(rig: RouterRig, target: Target) -> list[tuple[str, int | None]]:
    got = await rig.node_requests.request(target, make)
    return [(leg.incarnation.node, None if answer is None else answer.sessions) for leg, answer in got]


async def test_every_owner_is_requested_once_with_its_epoch() -> None:
    async with RouterRig.running() as rig:
        one, two = rig.feed.node("one"), rig.feed.node("two")
        rig.feed.file(one, "f")
        rig.feed.file(two, "f")
        rig.answers |= {"one": done(sessions=1), "two": done(sessions=2)}
        assert sorted(await answers(rig, Target(file="f"))) == [("one", 1), ("two", 2)]
        assert sorted((node, request.epoch) for node, request in rig.requests) == [
            ("one", one.epoch),
            ("two", two.epoch),
        ]


async def test_nobody_is_known_until_the_table_has_caught_up() -> None:
    async with RouterRig.running() as rig:
        one = rig.feed.node("one")
        rig.feed.later.append(lambda: rig.feed.file(one, "f"))
        rig.answers["one"] = done(sessions=1)
        assert await answers(rig, Target(file="f")) == [("one", 1)]


async def test_an_owner_that_is_none_any_more_leads_to_the_one_that_was_not_contacted() -> None:
    async with RouterRig.running() as rig:
        one, two = rig.feed.node("one"), rig.feed.node("two")
        rig.feed.file(one, "f")
        rig.feed.later.append(lambda: rig.feed.file(two, "f"))
        rig.answers["two"] = done(sessions=2)
        assert await answers(rig, Target(file="f")) == [("one", 0), ("two", 2)]
        assert [node for node, _ in rig.requests] == ["one", "two"]


async def test_a_broken_stream_and_a_node_that_failed_are_no_answer() -> None:
    async with RouterRig.running() as rig:
        for name in ("one", "two"):
            rig.feed.file(rig.feed.node(name), "f")
        rig.hops["one"].disconnect()
        rig.answers["two"] = node_pb2.NodeResponse()
        assert sorted(await answers(rig, Target(file="f"))) == [("one", None), ("two", None)]


async def test_a_node_that_is_silent_is_no_answer_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_requests, "ANSWER_LIMIT", 0)
    async with RouterRig.running() as rig:
        rig.feed.file(rig.feed.node("one"), "f")
        rig.hops["one"].stall(True)
        async with asyncio.timeout(5):
            assert await answers(rig, Target(file="f")) == [("one", None)]


async def test_a_node_without_a_hop_is_no_answer() -> None:
    rig = RouterRig()
    rig.feed.file(rig.feed.node("one"), "f")
    assert await answers(rig, Target(file="f")) == [("one", None)]
