"""The whole of docs/api.md over real processes: gRPC and HTTP/JSON are one handler."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import grpc
import grpc.aio
import msgpack
import pytest
import pytest_asyncio
import websockets
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from homing.v1 import router_pb2 as pb
from tests.support.calls import push
from tests.support.cluster import Client, Cluster, connect

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]
ONE_SECOND = Duration(seconds=1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def http(three: Cluster) -> AsyncIterator[aiohttp.ClientSession]:
    base = f"http://{three.routers[0].facts['http']}"
    async with aiohttp.ClientSession(base) as session:
        yield session


async def post(http: aiohttp.ClientSession, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post(path, data=data, headers={"Content-Type": "application/json"} | headers) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def ack_next(client: Client, **answer: Any) -> None:
    message = await client.receive()
    await client.send(type="ack", ack=message["ack"], **answer)


# Acks ----------------------------------------------------------------------------------------------------------------


async def test_a_clients_ack_is_in_the_report(three: Cluster) -> None:
    router = three.router()
    async with (
        connect(three, three.gateways[0], "acker", "acks") as one,
        connect(three, three.gateways[1], "mute", "acks") as mute,
    ):
        pushing = asyncio.ensure_future(router.Push(push(file="acks", ack_timeout=ONE_SECOND)))
        await ack_next(one, data={"seen": True})
        report = (await pushing).report
        assert dict(report.counts) == {"ACKED": 1, "WRITTEN": 1}
        by_user = {d.user: d for d in report.deliveries}
        assert (by_user["acker"].ack_data, by_user["acker"].ack_content_type) == (b'{"seen": true}', "")
        assert by_user["mute"].outcome == pb.Delivery.WRITTEN
        assert [d.user for d in report.deliveries] == ["mute", "acker"]  # worst first
        assert by_user["mute"].latency.ToMilliseconds() < 900  # when it was written, not when the report was due
        await mute.receive()


async def test_everybody_acks_and_the_report_comes_at_once(three: Cluster) -> None:
    router = three.router()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(three, gateway, f"q{number}", "quick"))
            for number, gateway in enumerate(three.gateways)
        ]
        async with asyncio.timeout(5):
            pushing = asyncio.ensure_future(router.Push(push(file="quick", ack_timeout=Duration(seconds=30))))
            await asyncio.gather(*(ack_next(client) for client in clients))
            assert dict((await pushing).report.counts) == {"ACKED": 3}


async def test_a_client_that_cannot_ack_stays_written(three: Cluster) -> None:
    url = f"{three.gateways[0].url}?token={three.token('bare-acks')}"
    async with websockets.connect(url) as bare:
        request = push(user="bare-acks", ack_timeout=Duration(seconds=30))
        report = (await asyncio.wait_for(three.router().Push(request), 5)).report
        assert dict(report.counts) == {"WRITTEN": 1}
        assert await bare.recv() == "{}"


# homing.msgpack ------------------------------------------------------------------------------------------------------


async def test_msgpack_has_the_same_messages(three: Cluster) -> None:
    router = three.router()
    headers = {"Authorization": f"Bearer {three.token('packer', 'pack')}"}
    subprotocols = [websockets.Subprotocol("homing.msgpack")]
    async with websockets.connect(
        three.gateways[2].url, subprotocols=subprotocols, additional_headers=headers
    ) as packer:

        async def receive() -> dict[str, Any]:
            frame = await asyncio.wait_for(packer.recv(), 5)
            assert isinstance(frame, bytes)
            return msgpack.unpackb(frame)

        assert (await receive())["type"] == "hello"
        await packer.send(msgpack.packb({"type": "join", "file": "pack", "id": 1}))
        assert await receive() == {"type": "ok", "id": 1}
        pushing = asyncio.ensure_future(router.Push(push(file="pack", data=b'{"n": 1}', ack_timeout=ONE_SECOND)))
        event = await receive()
        assert (event["event"], event["data"], event["file"]) == ("e", b'{"n": 1}', "pack")
        await packer.send(msgpack.packb({"type": "ack", "ack": event["ack"], "data": b"[1]"}))
        assert (await pushing).report.deliveries[0].ack_data == b"[1]"
        await router.Push(push(user="packer", data=b"\x00\xff", content_type="image/png"))
        event = await receive()
        assert (event["data"], event["content_type"]) == (b"\x00\xff", "image/png")
        await packer.send(msgpack.packb({"type": "event", "event": "x", "data": b"{not json", "id": 9}))
        error = await receive()
        assert (error["code"], error["field"], error["id"]) == ("bad_message", "data", 9)


# PushStream ----------------------------------------------------------------------------------------------------------


async def test_a_stream_reports_every_item_and_a_bad_one_never_ends_it(three: Cluster) -> None:
    router = three.router()
    async with connect(three, three.gateways[0], "streamed") as client:
        stream = router.PushStream()
        items = [push(data=b"%d" % n, user="streamed", push_id=f"p{n}") for n in range(500)]
        items[100] = push(user="streamed", push_id="")
        items[200] = push(user="streamed", push_id="bad", data=b"{")
        items[300] = push(user="nobody here", push_id="offline")
        for start in range(0, 500, 100):
            await stream.write(pb.PushStreamRequest(pushes=items[start : start + 100]))
        await stream.done_writing()
        reports = {report.push_id: report async for message in stream for report in message.reports}
        assert await stream.code() is grpc.StatusCode.OK
        assert len(reports) == 500
        assert (reports[""].error.code, reports[""].error.field) == ("INVALID_ARGUMENT", "push_id")
        assert (reports["bad"].error.code, reports["bad"].error.field) == ("INVALID_ARGUMENT", "data")
        assert dict(reports["offline"].counts) == {"OFFLINE": 1}
        received = [(await client.receive())["data"] for _ in range(497)]
        assert received == [n for n in range(500) if n not in (100, 200, 300)]  # in stream order


async def test_order_holds_while_a_target_comes_and_goes(three: Cluster) -> None:
    """Pushes that must wait for the table and those after them arrive in stream order."""
    router = three.router()
    stream = router.PushStream()
    n = 0

    async def send(number: int) -> None:
        nonlocal n
        await stream.write(
            pb.PushStreamRequest(
                pushes=[push(data=b"%d" % (n + k), user="flapper", push_id=f"f{n + k}") for k in range(number)]
            )
        )
        n += number

    for _ in range(5):
        async with connect(three, three.gateways[n % 3], "flapper") as client:
            await send(40)
            await send(40)
            received = [(await client.receive())["data"] for _ in range(80)]
            assert received == list(range(n - 80, n))
    await stream.done_writing()
    assert sum([len(message.reports) async for message in stream]) == n


async def test_too_many_in_one_message_are_refused_each(three: Cluster) -> None:
    stream = three.router().PushStream()
    await stream.write(pb.PushStreamRequest(pushes=[push(user="x", push_id=str(n)) for n in range(257)]))
    await stream.done_writing()
    errors = [report.error.field async for message in stream for report in message.reports]
    assert errors == ["pushes"] * 257


# Disconnect, Reply, Presence, Watch ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("allow", "code"), [(False, 4403), (True, 1012)])
async def test_disconnect_closes_with_the_code_for_coming_back_or_not(three: Cluster, allow: bool, code: int) -> None:
    router = three.router()
    target = pb.Target(user=f"out-{allow}")
    async with (
        connect(three, three.gateways[0], target.user) as one,
        connect(three, three.gateways[1], target.user) as two,
    ):
        request = pb.DisconnectRequest(target=target, reason="moved out", allow_reconnect=allow)
        assert (await router.Disconnect(request)).sessions == 2
        assert await one.wait_closed() == await two.wait_closed() == (code, "moved out")
    assert (await router.Disconnect(pb.DisconnectRequest(target=target))).sessions == 0


async def test_a_backends_reply_reaches_the_event_that_requested_it(three: Cluster) -> None:
    router = three.router()
    async with connect(three, three.gateways[1], "asker") as client:
        request = pb.ReplyRequest(session=client.sid, ack=7, data=b'{"ok": 1}')
        assert (await router.Reply(request)).outcome == pb.Delivery.WRITTEN
        assert await client.receive() == {"type": "reply", "id": 7, "data": {"ok": 1}}
        error = pb.Error(code="not_there", message="no such thing", field="x", retry_after=ONE_SECOND)
        await router.Reply(pb.ReplyRequest(session=client.sid, ack=8, error=error))
        assert await client.receive() == {
            "type": "error",
            "code": "not_there",
            "message": "no such thing",
            "id": 8,
            "field": "x",
            "retry_ms": 1000,
        }
    async with asyncio.timeout(5):
        while (await router.Reply(request)).outcome != pb.Delivery.OFFLINE:
            pass
    with pytest.raises(grpc.aio.AioRpcError, match="session"):
        await router.Reply(pb.ReplyRequest())


async def test_a_files_presence_comes_from_its_owners_in_pages(three: Cluster) -> None:
    router = three.router()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(three, three.gateways[n % 3], f"m{n}", "meeting")) for n in range(7)
        ]
        expected = sorted((client.sid, f"m{n}", f"g{n % 3}") for n, client in enumerate(clients))
        seen, token, pages = [], "", 0
        while True:
            page = await router.Presence(pb.PresenceRequest(file="meeting", page_size=3, page_token=token))
            assert (page.total, list(page.incomplete_nodes)) == (7, [])
            seen += [(s.session, s.user, s.node) for s in page.sessions]
            pages += 1
            if not (token := page.next_page_token):
                break
        assert (seen, pages) == (expected, 3)
    with pytest.raises(grpc.aio.AioRpcError, match="page_token"):
        await router.Presence(pb.PresenceRequest(user="x", page_token="what"))


async def test_watching_a_user_and_the_nodes(three: Cluster) -> None:
    router = three.router()
    watch = router.Watch(pb.WatchRequest(user="watched"))

    async def next_change() -> pb.WatchResponse:
        return await asyncio.wait_for(watch.read(), 5)

    assert (await next_change()).synced
    async with connect(three, three.gateways[2], "watched") as client:
        came = (await next_change()).came
        assert (came.session, came.node) == (client.sid, "g2")
    assert (await next_change()).left == client.sid
    watch.cancel()

    nodes = router.Watch(pb.WatchRequest(nodes=True))
    up: dict[str, pb.NodeState] = {}
    async with asyncio.timeout(10):
        while len(up) < 3 or not all(state.counters for state in up.values()):
            change = await nodes.read()
            if change.HasField("node_up"):
                up[change.node_up.node] = change.node_up
    assert set(up) == {"g0", "g1", "g2"}
    assert all("frames_written" in state.counters for state in up.values())
    nodes.cancel()


# HTTP ----------------------------------------------------------------------------------------------------------------


async def test_a_page_elsewhere_can_neither_call_nor_rebind(three: Cluster) -> None:
    address = three.routers[0].facts["http"]
    everyone = {"target": {"everyone": True}}
    async with aiohttp.ClientSession(f"http://{address}") as http:
        for headers, status in (
            ({"Content-Type": "text/plain"}, 415),
            ({"Origin": "https://evil.example"}, 403),
            ({"Host": "rebound.example"}, 403),
        ):
            assert (await post(http, "/v1/disconnect", everyone, **headers))[0] == status
    admin = three.routers[0].facts["admin"]
    async with (
        aiohttp.ClientSession(f"http://{admin}") as http,
        http.get("/metrics", headers={"Host": "rebound.example"}) as response,
    ):
        assert response.status == 403


async def test_curl_like_push_and_its_report(three: Cluster, http: aiohttp.ClientSession) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with connect(three, three.gateways[0], "curled") as client:
        body = {"target": {"user": "curled"}, "event": "e", "json": {"deep": [1, 2.50]}, "ack_timeout": "1s"}
        pushing = asyncio.ensure_future(post(http, "/v1/push", body, **{"X-Trace-ID": trace}))
        message = await client.receive()
        assert message["data"] == {"deep": [1, 2.5]}
        await client.send(type="ack", ack=message["ack"], data=["got it"])
        status, answer = await pushing
        report = answer["report"]
        assert (status, report["counts"], report["amplification"]) == (200, {"ACKED": 1}, 1.0)
        (delivery,) = report["deliveries"]
        assert (delivery["session"], delivery["outcome"]) == (str(client.sid), "ACKED")
        assert (delivery["ack_json"], delivery["latency"][-1]) == (["got it"], "s")
        assert report["trace_id"] == trace


async def test_json_is_kept_byte_for_byte(three: Cluster, http: aiohttp.ClientSession) -> None:
    async with websockets.connect(f"{three.gateways[0].url}?token={three.token('raw')}") as bare:
        await post(http, "/v1/push", b'{"target":{"user":"raw"},"event":"e","json":{"a" : 1.0e2,  "b":[ ]}}')
        assert await bare.recv() == '{"a" : 1.0e2,  "b":[ ]}'


ADA = {"target": {"user": "ada"}, "event": "e", "json": 1}
REFUSED: list[tuple[str, Any, str, str]] = [
    ("push", {"event": "e", "json": 1}, "INVALID_ARGUMENT", "target"),
    ("push", {**ADA, "bogus": 1}, "INVALID_ARGUMENT", "bogus"),
    ("push", {**ADA, "target": {"usr": "a"}}, "INVALID_ARGUMENT", "usr"),
    ("push", {**ADA, "data": "MQ=="}, "INVALID_ARGUMENT", "json"),
    ("push", {**ADA, "ttl": "soon"}, "INVALID_ARGUMENT", "ttl"),
    ("push", {**ADA, "durable": True}, "FAILED_PRECONDITION", "durable"),
    ("push", b"{", "INVALID_ARGUMENT", ""),
    ("push", b"[1]", "INVALID_ARGUMENT", ""),
    ("join", {"target": {"file": "f"}, "file": "g"}, "INVALID_ARGUMENT", "target"),
    ("presence", {}, "INVALID_ARGUMENT", "of"),
    ("push:batch", {"pushes": 1}, "INVALID_ARGUMENT", "pushes"),
    ("reply", {"ack": "1"}, "INVALID_ARGUMENT", "session"),
]


@pytest.mark.parametrize(("call", "body", "code", "field"), REFUSED)
async def test_row_65_http_errors_name_the_field(
    http: aiohttp.ClientSession, call: str, body: Any, code: str, field: str
) -> None:
    status, answer = await post(http, f"/v1/{call}", body)
    error = answer["error"]
    assert (status, error["code"], error["field"]) == (400, code, field)
    assert set(error) == {"code", "message", "field", "request_id"}
    assert error["message"]


async def test_the_other_calls_over_http(three: Cluster, http: aiohttp.ClientSession) -> None:
    async with connect(three, three.gateways[1], "webby") as client:
        target = {"target": {"session": str(client.sid)}}
        assert (await post(http, "/v1/join", {**target, "file": "w"}))[1] == {"sessions": 1}
        assert await client.receive() == {"type": "joined", "file": "w"}
        located = (await post(http, "/v1/locate", {"target": {"file": "w"}}))[1]
        assert [(r["node"], r["source"], r["sessions"]) for r in located["routes"]] == [("g1", "TABLE", None)]
        present = (await post(http, "/v1/presence", {"file": "w"}))[1]
        assert [(s["session"], s["user"]) for s in present["sessions"]] == [(str(client.sid), "webby")]
        batch = {"pushes": [{"target": {"file": "w"}, "event": "e", "json": n} for n in range(3)]}
        batch["pushes"] += [{"target": {}, "event": "e"}, {"push_id": "odd", "evnt": "e"}]
        reports = (await post(http, "/v1/push:batch", batch))[1]["reports"]
        assert sorted(r["counts"].get("WRITTEN", 0) for r in reports) == [0, 0, 1, 1, 1]
        assert sorted(r["error"]["field"] for r in reports if r.get("error")) == ["evnt", "target"]
        assert "odd" in [r["push_id"] for r in reports]
        assert [(await client.receive())["data"] for _ in range(3)] == [0, 1, 2]
        assert (await post(http, "/v1/reply", {"session": str(client.sid), "ack": "3", "json": 1}))[1] == {
            "outcome": "WRITTEN"
        }
        assert (await post(http, "/v1/leave", {**target, "file": "w"}))[1] == {"sessions": 1}
        assert (await post(http, "/v1/disconnect", {**target, "reason": "bye"}))[1] == {"sessions": 1}
        assert (await client.rest())[:2] == [{"type": "reply", "id": 3, "data": 1}, {"type": "left", "file": "w"}]
        assert (await client.wait_closed())[0] == 4403


async def test_watching_over_http(three: Cluster, http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/watch", params={"user": "httpwatched"}) as response:
        assert json.loads(await response.content.readline()) == {"synced": True}
        async with connect(three, three.gateways[0], "httpwatched") as client:
            came = json.loads(await response.content.readline())["came"]
            assert came["session"] == str(client.sid)
        assert json.loads(await response.content.readline()) == {"left": str(client.sid)}
    async with http.get("/v1/watch") as response:
        assert (response.status, (await response.json())["error"]["field"]) == (400, "of")


async def test_health_readiness_and_metrics_have_a_listener_of_their_own(
    three: Cluster, http: aiohttp.ClientSession
) -> None:
    async with (
        aiohttp.ClientSession(f"http://{three.routers[0].facts['admin']}") as admin,
        admin.get("/readyz") as ready,
        admin.get("/livez") as alive,
        admin.get("/metrics") as metrics,
    ):
        assert (ready.status, alive.status) == (200, 200)
        assert "homing_router_pushes_total" in await metrics.text()
        assert [(await admin.post(path)).status for path in ("/v1/push", "/v1/locate", "/v1/push:batch")] == [404] * 3
    assert [(await http.get(path)).status for path in ("/readyz", "/livez", "/metrics")] == [404] * 3


async def test_a_router_that_stops_is_not_ready_while_it_finishes_its_calls(three: Cluster) -> None:
    router = await three.start_router()
    number = three.routers.index(router)
    async with connect(three, three.gateways[0], "slow-acker") as client:
        pushing = asyncio.ensure_future(three.router(number).Push(push(user="slow-acker", ack_timeout=ONE_SECOND)))
        await client.receive()
        stopping = asyncio.ensure_future(router.stop())
        async with aiohttp.ClientSession(f"http://{router.facts['admin']}") as admin, asyncio.timeout(5):
            while (await admin.get("/readyz")).status == 200:
                await asyncio.sleep(0.01)
            assert not pushing.done()
            async with admin.get("/readyz") as ready:
                assert (ready.status, (await ready.json())["ready"]) == (503, False)
        assert dict((await pushing).report.counts) == {"WRITTEN": 1}
        assert await stopping == 0


async def test_the_service_is_listed_by_reflection_and_healthy(three: Cluster) -> None:
    async with grpc.aio.insecure_channel(three.routers[0].facts["grpc"]) as channel:
        healthy = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="homing.v1.Router")
        )
        assert healthy.status == health_pb2.HealthCheckResponse.SERVING
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        calls = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        services = {service.name for service in (await calls.read()).list_services_response.service}
        assert {"homing.v1.Router", "grpc.health.v1.Health"} <= services
