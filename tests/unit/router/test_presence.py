"""Presence: pages in the order of session ids, a user's from the table and a file's from its owners."""

import pytest

from homing.v1 import router_pb2 as pb
from router.presence import PresenceCalls
from router.push import CallRefused
from tests.support.router import RouterRig, done


async def page(rig: RouterRig, **fields: object) -> pb.PresenceResponse:
    return await PresenceCalls(rig.feed, rig.node_requests).answer(pb.PresenceRequest(**fields))


def sids(response: pb.PresenceResponse) -> list[int]:
    return [session.session for session in response.sessions]


async def test_a_user_s_sessions_page_by_page() -> None:
    async with RouterRig.running() as rig:
        one = rig.feed.node("one")
        for sid in (9, 3, 7):
            rig.feed.session(one, "ada", sid)
        first = await page(rig, user="ada", page_size=2)
        assert (sids(first), first.total, first.next_page_token) == ([3, 7], 3, "7")
        last = await page(rig, user="ada", page_size=2, page_token=first.next_page_token)
        assert (sids(last), last.next_page_token) == ([9], "")


async def test_a_user_that_is_not_known_is_looked_for_once_more() -> None:
    async with RouterRig.running() as rig:
        one = rig.feed.node("one")
        rig.feed.later.append(lambda: rig.feed.session(one, "ada", 3))
        assert sids(await page(rig, user="ada")) == [3]
        assert sids(await page(rig, user="bob")) == []


async def test_a_file_s_sessions_are_merged_and_a_silent_node_is_named() -> None:
    async with RouterRig.running() as rig:
        for name, present in (("one", (5, 1)), ("two", (2,)), ("three", ())):
            rig.feed.file(rig.feed.node(name), "f")
            rig.answers[name] = done(sessions=len(present))
            for sid in present:
                rig.answers[name].present.add(session=sid, user="u", namespace="/", connected_at_ms=1_500)
        rig.hops["three"].disconnect()
        response = await page(rig, file="f", page_size=2)
        assert [(one.session, one.node) for one in response.sessions] == [(1, "one"), (2, "two")]
        assert response.sessions[0].connected_at.ToMilliseconds() == 1_500
        assert (response.total, response.next_page_token, list(response.incomplete_nodes)) == (3, "2", ["three"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "of"),
        ({"user": ""}, "user"),
        ({"file": ""}, "file"),
        ({"file": "x" * 257}, "file"),
        ({"user": "a", "page_size": 1001}, "page_size"),
        ({"user": "a", "page_token": "next"}, "page_token"),
        ({"user": "a", "page_token": "9" * 20}, "page_token"),
    ],
)
async def test_a_bad_field_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(CallRefused) as caught:
        await page(RouterRig(), **fields)
    assert (caught.value.code, caught.value.field) == ("INVALID_ARGUMENT", field)
