"""A push over real processes: who gets it, what the report says, how many nodes were asked."""

import asyncio
from contextlib import AsyncExitStack

import grpc
import grpc.aio
import pytest
from redis.asyncio import Redis

from homing.v1 import router_pb2 as pb
from tests.support.calls import push
from tests.support.cluster import Cluster, connect

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]


async def test_a_file_push_contacts_exactly_the_owning_nodes(three: Cluster) -> None:
    router = three.router()
    async with AsyncExitStack() as stack:
        viewers = [
            await stack.enter_async_context(connect(three, gateway, f"u{number}", "doc"))
            for number, gateway in enumerate((three.gateways[0], three.gateways[0], three.gateways[1]))
        ]
        other = await stack.enter_async_context(connect(three, three.gateways[2], "other", "elsewhere"))
        report = (await router.Push(push(file="doc", data=b'{"a": 1}', push_id="p1"))).report
        assert dict(report.counts) == {"WRITTEN": 3}
        assert (report.nodes_contacted, report.owning_nodes, report.amplification) == (2, 2, 1.0)
        assert {(d.session, d.node) for d in report.deliveries} == {
            (viewers[0].sid, "g0"),
            (viewers[1].sid, "g0"),
            (viewers[2].sid, "g1"),
        }
        assert all(0 < d.latency.ToMicroseconds() < 5_000_000 for d in report.deliveries)
        for viewer in viewers:
            message = await viewer.receive()
            assert message == {"type": "event", "event": "e", "data": {"a": 1}, "push": "p1", "file": "doc"}
        assert (await other.ask(type="ping"))["type"] == "pong"  # and nothing came before it


async def test_users_sessions_exceptions_and_nobody(three: Cluster) -> None:
    router = three.router()
    async with connect(three, three.gateways[0], "eve") as one, connect(three, three.gateways[2], "eve") as two:
        report = (await router.Push(push(user="eve"))).report
        assert (dict(report.counts), report.nodes_contacted) == ({"WRITTEN": 2}, 2)
        report = (await router.Push(push(user="eve", except_sessions=[one.sid]))).report
        assert dict(report.counts) == {"WRITTEN": 1}
        report = (await router.Push(push(session=two.sid))).report
        assert (dict(report.counts), report.nodes_contacted, report.owning_nodes) == ({"WRITTEN": 1}, 1, 1)
        assert [(await two.receive())["event"] for _ in range(3)] == ["e", "e", "e"]
        report = (await router.Push(push(everyone=True, max_deliveries=0))).report
        assert (dict(report.counts), len(report.deliveries), report.deliveries_truncated) == ({"WRITTEN": 2}, 0, True)
    report = (await router.Push(push(user="nobody"))).report
    assert (dict(report.counts), report.nodes_contacted, report.amplification) == ({"OFFLINE": 1}, 0, 0.0)
    report = (await router.Push(push(everyone=True))).report
    assert (dict(report.counts), report.owning_nodes, report.healed) == ({"OFFLINE": 1}, 0, False)


async def test_connected_and_joined_mean_reachable_at_once(three: Cluster) -> None:
    """Whoever was told "connected" or "joined" gets the very next push, every time."""
    router = three.router()
    async with AsyncExitStack() as stack:
        for number in range(40):
            gateway = three.gateways[number % 3]
            client = await stack.enter_async_context(connect(three, gateway, f"user-{number}", f"file-{number}"))
            by_file, by_user, by_sid = await asyncio.gather(
                router.Push(push(file=f"file-{number}")),
                router.Push(push(user=f"user-{number}")),
                router.Push(push(session=client.sid)),
            )
            for answer in (by_file, by_user, by_sid):
                assert (dict(answer.report.counts), answer.report.healed) == ({"WRITTEN": 1}, False)


async def test_locate_presence_join_and_leave(three: Cluster) -> None:
    router = three.router()
    async with connect(three, three.gateways[1], "joe") as client:
        located = await router.Locate(pb.LocateRequest(target=pb.Target(user="joe")))
        assert [(r.node, r.sessions, r.source) for r in located.routes] == [("g1", 1, pb.Route.TABLE)]
        present = await router.Presence(pb.PresenceRequest(user="joe"))
        assert [(s.session, s.node, s.namespace) for s in present.sessions] == [(client.sid, "g1", "/")]
        joined = await router.Join(pb.JoinRequest(target=pb.Target(user="joe"), file="by the backend"))
        assert joined.sessions == 1
        assert dict((await router.Push(push(file="by the backend"))).report.counts) == {"WRITTEN": 1}
        left = await router.Leave(pb.LeaveRequest(target=pb.Target(session=client.sid), file="by the backend"))
        assert left.sessions == 1
        assert dict((await router.Push(push(file="by the backend"))).report.counts) == {"OFFLINE": 1}
    nobody = await router.Locate(pb.LocateRequest(target=pb.Target(user="nobody")))
    assert (list(nobody.routes), nobody.registry_away) == ([], False)
    assert "nobody" in nobody.why


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (push(), "target"),
        (push(user=""), "target.user"),
        (push(user="ada", data=b"{"), "data"),
        (push(user="ada", data=b'"' + b"x" * 1_000_000 + b'"'), "data"),
        (push(user="ada", data=b'"' + b"x" * 8_000_000 + b'"'), "data"),
        (push("homing:x", user="ada"), "event"),
        (push(user="ada", push_id="two words"), "push_id"),
        (push(user="ada", max_deliveries=10_001), "max_deliveries"),
    ],
)
async def test_a_bad_push_names_its_field(three: Cluster, request_: pb.PushRequest, field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await three.router().Push(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(caught.value.trailing_metadata() or ())["homing-field"] == field
    assert (caught.value.details() or "").startswith(field)


async def test_a_clients_doings_become_events(three: Cluster) -> None:
    async with connect(three, three.gateways[0], "kim", "doc") as client:
        assert (await client.ask(type="join", file="not granted"))["code"] == "forbidden"
        await client.send(type="event", event="edit", data=[1, {"b": "c"}], file="doc", id=7)
        assert (await client.ask(type="leave", file="doc"))["type"] == "ok"
    async with Redis.from_url(f"redis://{three.redis}", decode_responses=True) as redis:
        records: list[tuple[str, dict[str, str]]] = []
        async with asyncio.timeout(5):
            after = "0"
            while len(records) < 5:
                for _, got in await redis.xread({three.stream: after}, block=1000):
                    after = got[-1][0]
                    records += [one for one in got if one[1]["X-Uid"] == "kim"]
    fields = [record for _, record in records]
    assert [(f["X-Event"], f.get("X-Inner"), f["X-Seq"]) for f in fields] == [
        ("connect", None, "1"),
        ("message", "join", "2"),
        ("message", None, "3"),
        ("message", "leave", "4"),
        ("disconnect", None, "5"),
    ]
    assert {f["X-ID"] for f in fields} == {str(client.sid)}
    edit = fields[2]
    assert (edit["X-Name"], edit["X-Guid"], edit["X-Ack"], edit["X-Uid"]) == ("edit", "doc", "7", "kim")
    assert (edit["X-Auth-Type"], edit["Content-Type"]) == ("test", "application/json")
    assert edit["value"] == '[1, {"b": "c"}]'
    assert fields[4]["X-Reason"] == "1000"
