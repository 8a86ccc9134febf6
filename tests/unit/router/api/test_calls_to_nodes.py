"""Calls that ask nodes: what they send there, and what they make of the answers."""

from collections.abc import AsyncIterator

import pytest
from google.protobuf.duration_pb2 import Duration

from homing.v1 import router_pb2 as pb
from router.api.calls import Calls
from router.api.settings import ApiSettings
from router.caller import LOOPBACK
from router.push import CallRefused
from router.push_handler import PushHandler
from tests.support.router import RouterRig, done
from tests.unit.router.api.test_push_stream import HeldDelivery

ADA = pb.Target(user="ada")


@pytest.fixture
async def rig() -> AsyncIterator[RouterRig]:
    """Two nodes; ada has session 1 on "one" and session 2 on "two"."""
    async with RouterRig.running() as made:
        for sid, name in ((1, "one"), (2, "two")):
            made.feed.session(made.feed.node(name), "ada", sid)
            made.answers[name] = done(sessions=1)
        yield made


def calls(rig: RouterRig) -> Calls:
    settings = ApiSettings()
    return Calls(settings, PushHandler(HeldDelivery(), settings.max_data), rig.feed, rig.fleet)


async def test_join_and_leave_count_the_sessions_of_every_node(rig: RouterRig) -> None:
    assert (await calls(rig).join(LOOPBACK, pb.JoinRequest(target=ADA, file="f"))).sessions == 2
    assert (await calls(rig).leave(LOOPBACK, pb.LeaveRequest(target=ADA, file="f"))).sessions == 2
    sent = [request.membership for _, request in rig.requests]
    assert [(one.receivers.user, one.file, one.leave) for one in sent] == [
        ("ada", "f", False),
        ("ada", "f", False),
        ("ada", "f", True),
        ("ada", "f", True),
    ]


async def test_a_silent_node_makes_the_call_unavailable_by_name(rig: RouterRig) -> None:
    rig.hops["two"].disconnect()
    with pytest.raises(CallRefused, match="node two did not answer") as caught:
        await calls(rig).disconnect(LOOPBACK, pb.DisconnectRequest(target=ADA))
    assert (caught.value.code, caught.value.retry_after) == ("UNAVAILABLE", 1.0)


async def test_disconnect_carries_its_reason(rig: RouterRig) -> None:
    request = pb.DisconnectRequest(target=ADA, reason="bye", allow_reconnect=True)
    assert (await calls(rig).disconnect(LOOPBACK, request)).sessions == 2
    assert [(one.disconnect.reason, one.disconnect.allow_reconnect) for _, one in rig.requests] == [("bye", True)] * 2


@pytest.mark.parametrize(
    ("call", "request_", "field"),
    [
        ("join", pb.JoinRequest(target=pb.Target(file="f"), file="f"), "target"),
        ("disconnect", pb.DisconnectRequest(target=ADA, reason="x" * 124), "reason"),
        ("reply", pb.ReplyRequest(ack=1), "session"),
        ("reply", pb.ReplyRequest(session=1, error=pb.ReplyRequest().error), "error.code"),
    ],
)
async def test_a_bad_field_is_named(rig: RouterRig, call: str, request_: object, field: str) -> None:
    with pytest.raises(CallRefused) as caught:
        await getattr(calls(rig), call)(LOOPBACK, request_)
    assert (caught.value.code, caught.value.field, rig.requests) == ("INVALID_ARGUMENT", field, [])


async def test_a_reply_s_outcome_is_the_node_s(rig: RouterRig) -> None:
    rig.answers["one"] = done(outcome=pb.Delivery.WRITTEN)
    request = pb.ReplyRequest(session=1, ack=3, data=b"1")
    assert (await calls(rig).reply(LOOPBACK, request)).outcome == pb.Delivery.WRITTEN
    [(node, sent)] = rig.requests
    assert (node, sent.reply.ack, sent.reply.data) == ("one", 3, b"1")


async def test_an_error_reply_carries_its_fields(rig: RouterRig) -> None:
    rig.answers["one"] = done(outcome=pb.Delivery.WRITTEN)
    request = pb.ReplyRequest(session=1, ack=3)
    request.error.code, request.error.message, request.error.field = "busy", "later", "f"
    request.error.retry_after.CopyFrom(Duration(seconds=2))
    await calls(rig).reply(LOOPBACK, request)
    reply = rig.requests[0][1].reply
    assert (reply.error_code, reply.error_message, reply.error_field, reply.retry_ms) == ("busy", "later", "f", 2000)


async def test_a_reply_to_nobody_is_offline_and_to_a_silent_node_unreachable(rig: RouterRig) -> None:
    assert (await calls(rig).reply(LOOPBACK, pb.ReplyRequest(session=99, ack=3))).outcome == pb.Delivery.OFFLINE
    rig.hops["one"].disconnect()
    assert (await calls(rig).reply(LOOPBACK, pb.ReplyRequest(session=1, ack=3))).outcome == pb.Delivery.UNREACHABLE


async def test_locate_names_the_source_of_each_route_or_why_there_is_none(rig: RouterRig) -> None:
    found = await calls(rig).locate(LOOPBACK, pb.LocateRequest(target=ADA))
    assert [(route.node, route.sessions, route.source) for route in found.routes] == [
        ("one", 1, pb.Route.TABLE),
        ("two", 1, pb.Route.TABLE),
    ]
    nobody = await calls(rig).locate(LOOPBACK, pb.LocateRequest(target=pb.Target(user="bob")))
    assert (len(nobody.routes), nobody.registry_away) == (0, False)
    assert nobody.why.startswith("no live session of user bob")
    rig.feed.readable = False
    away = await calls(rig).locate(LOOPBACK, pb.LocateRequest(target=pb.Target(user="bob")))
    assert (away.registry_away, away.why.startswith("etcd could not be read")) == (True, True)
