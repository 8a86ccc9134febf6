"""The calls of the API: the right that each of them requires."""

import pytest

from homing.v1 import router_pb2 as pb
from registry.model import Incarnation, Node
from router.api.calls import Calls
from router.api.settings import ApiSettings
from router.api.unread_reports import UnreadReports
from router.caller import LOOPBACK, Caller, Right
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.hop.port import OnChange
from router.push import CallRefused
from router.push_handler import PushHandler
from tests.support.calls import push
from tests.support.table import TableFeed
from tests.unit.router.api.test_push_stream import HeldDelivery

RIGHTS: tuple[Right, ...] = ("push", "presence", "admin")
USER = pb.Target(user="ada")
REQUIRED: list[tuple[str, object, Right]] = [
    ("push", push(user="ada"), "push"),
    ("reply", pb.ReplyRequest(session=1, ack=1), "push"),
    ("join", pb.JoinRequest(target=USER, file="f"), "push"),
    ("leave", pb.LeaveRequest(target=USER, file="f"), "push"),
    ("locate", pb.LocateRequest(target=USER), "presence"),
    ("presence", pb.PresenceRequest(user="ada"), "presence"),
    ("watch", pb.WatchRequest(user="ada"), "presence"),
    ("watch", pb.WatchRequest(), "presence"),
    ("watch", pb.WatchRequest(nodes=True), "admin"),
    ("disconnect", pb.DisconnectRequest(target=USER), "admin"),
]


class Rig:
    def __init__(self) -> None:
        self.feed = TableFeed()
        self.delivery = HeldDelivery()
        settings = ApiSettings()
        pushes = PushHandler(self.delivery, settings.max_data)
        self.calls = Calls(settings, pushes, self.feed, Fleet(self.feed, self._make_hop))

    def _make_hop(self, incarnation: Incarnation, _node: Node, on_change: OnChange) -> MemoryHop:
        raise AssertionError("no node is up")

    async def call(self, name: str, caller: Caller, request: object) -> None:
        result = getattr(self.calls, name)(caller, request)
        if name != "watch":
            await result


@pytest.mark.parametrize(("name", "request_", "right"), REQUIRED)
async def test_a_call_without_its_right_is_denied_and_has_no_effect(name: str, request_: object, right: Right) -> None:
    rig = Rig()
    with pytest.raises(CallRefused, match=f"'{right}'") as caught:
        await rig.call(name, Caller("some", frozenset(RIGHTS) - {right}), request_)
    assert caught.value.code == "PERMISSION_DENIED"
    assert (rig.feed.reads, rig.delivery.held) == (0, [])


@pytest.mark.parametrize(("name", "request_", "right"), [row for row in REQUIRED[1:] if row[1] != pb.WatchRequest()])
async def test_its_right_is_all_that_a_call_requires(name: str, request_: object, right: Right) -> None:
    await Rig().call(name, Caller("some", frozenset({right})), request_)


async def test_a_push_stream_is_opened_for_its_caller() -> None:
    rig = Rig()
    request = pb.PushStreamRequest(pushes=[push(user="ada", push_id="p")])
    for caller, codes in ((LOOPBACK, []), (Caller("none", frozenset()), ["PERMISSION_DENIED"])):
        stream = rig.calls.push_stream(caller, "", UnreadReports(), lambda _linger: None)
        stream.receive(request, request.ByteSize(), 0)
        response = stream.next_response()
        assert [report.error.code for report in response.reports] == codes if response else not codes
    assert len(rig.delivery.held) == 1


async def test_a_push_without_an_id_gets_one() -> None:
    rig = Rig()
    request = push(user="ada")
    call = rig.calls.push(LOOPBACK, request)
    call.send(None)
    assert len(request.push_id) == 22
    rig.delivery.report()
    call.close()
