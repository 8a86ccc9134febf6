"""Broadcast mode with real processes, over Redis and over Kafka: the same API and outcomes, another way there."""

import asyncio
import pickle
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest
from google.protobuf.duration_pb2 import Duration
from redis.asyncio import Redis

from homing.v1 import router_pb2 as pb
from tests.support.cluster import Cluster, Service, connect
from tests.support.servers import Server, start_redis

GATEWAYS = 3
pytestmark = pytest.mark.timeout(90)


def push(event: str = "e", data: bytes = b"{}", **fields: object) -> pb.PushRequest:
    targets = {key: fields.pop(key) for key in ("session", "user", "file", "everyone") if key in fields}
    return pb.PushRequest(target=pb.Target(**targets), event=event, data=data, **fields)


def counted(service: Service, name: str) -> int:
    """A counter of this process, from its admin listener."""
    kind = service.facts["ready"]
    with urlopen(f"http://{service.facts['admin']}/metrics") as answer:
        found = re.search(rf"^homing_{kind}_{name}_total (\S+)$", answer.read().decode(), re.M)
    assert found is not None
    return int(float(found[1]))


class Broadcast(Cluster):
    """Three gateways and a router in broadcast mode."""

    flags: tuple[str, ...]

    async def start(self, *settings: str) -> None:
        flags = ("delivery.mode=broadcast", f"delivery.channel=pushes-{self.name}", *settings)
        self.flags = tuple(f"--set={flag}" for flag in flags)
        await asyncio.gather(*(self.start_gateway("--node-id", f"g{n}", *self.flags) for n in range(GATEWAYS)))
        self.gateways.sort(key=lambda gateway: gateway.node)
        await self.start_router(*self.flags)


@pytest.fixture(params=["redis", "kafka"])
async def broadcast(
    request: pytest.FixtureRequest, tmp_path: Path, etcd: Server, redis: Server
) -> AsyncIterator[Broadcast]:
    over = request.param
    settings = [f"bus.kafka={request.getfixturevalue('kafka').endpoint}"] if over == "kafka" else []
    cluster = Broadcast(tmp_path, etcd.endpoint, redis.endpoint)
    try:
        await cluster.start(f"bus.kind={over}", *settings)
        yield cluster
    finally:
        await cluster.stop()


async def test_the_same_api_with_the_same_outcomes(broadcast: Broadcast) -> None:
    """One test a bus: a cluster takes seconds to start."""
    await check_targets(broadcast)
    await check_acks_and_order(broadcast)
    await check_what_lay_in_a_buffer_too_long_is_expired(broadcast)
    await check_a_gateway_that_is_killed_is_unreachable_until_its_lease_is_over(broadcast)


async def check_targets(broadcast: Broadcast) -> None:
    cluster, router = broadcast, broadcast.router()
    async with AsyncExitStack() as stack:
        ada, more, eve = [
            await stack.enter_async_context(connect(cluster, cluster.gateways[number], user, *files))
            for number, user, files in ((0, "ada", ["doc"]), (1, "ada", []), (1, "eve", ["doc"]))
        ]
        for target in (
            pb.Target(user="eve"),
            pb.Target(user="nobody"),
            pb.Target(file="doc"),
            pb.Target(everyone=True),
        ):
            located = await router.Locate(pb.LocateRequest(target=target))
            assert sorted(route.node for route in located.routes) == ["g0", "g1", "g2"]
            assert {route.source for route in located.routes} == {pb.Route.BROADCAST}
        pushes = 0
        for request, owners, counts in (
            (push(session=ada.sid, push_id="p1"), 1, {"WRITTEN": 1}),
            (push(user="ada"), 2, {"WRITTEN": 2}),
            (push(file="doc"), 2, {"WRITTEN": 2}),
            (push(everyone=True), 2, {"WRITTEN": 3}),
            (push(user="ada", except_sessions=[ada.sid]), 2, {"WRITTEN": 1}),
            (push(user="nobody"), 0, {"OFFLINE": 1}),
            (push(session=ada.sid + 1), 0, {"OFFLINE": 1}),
            (push(user="eve", data=b'"' + b"x" * 999_998 + b'"'), 1, {"WRITTEN": 1}),
        ):
            report = (await router.Push(request)).report
            pushes += 1
            contacted = (report.nodes_contacted, report.owning_nodes, report.amplification)
            assert (dict(report.counts), contacted) == (counts, (GATEWAYS, owners, GATEWAYS / max(1, owners)))
        assert await ada.receive() == {"type": "event", "event": "e", "data": {}, "push": "p1"}
        assert len([await more.receive() for _ in range(3)]) == 3
        assert len([(await eve.receive())["data"] for _ in range(3)][2]) == 999_998
        assert [counted(gateway, "pushes_received") for gateway in cluster.gateways] == [pushes] * GATEWAYS
        assert [counted(gateway, "bus_missed") for gateway in cluster.gateways] == [0] * GATEWAYS
        assert counted(cluster.routers[0], "bus_bytes") == counted(cluster.gateways[2], "bus_bytes") > 1_000_000


async def check_acks_and_order(broadcast: Broadcast) -> None:
    cluster, router = broadcast, broadcast.router()
    async with connect(cluster, cluster.gateways[2], "ada") as ada, connect(cluster, cluster.gateways[0], "bob"):
        asking = asyncio.ensure_future(router.Push(push(user="ada", ack_timeout=Duration(seconds=5))))
        message = await ada.receive()
        await ada.send(type="ack", ack=message["ack"], data={"seen": 1})
        report = (await asking).report
        assert (dict(report.counts), report.deliveries[0].ack_data) == ({"ACKED": 1}, b'{"seen": 1}')
        report = (await router.Push(push(user="bob", ack_timeout=Duration(nanos=100_000_000)))).report
        assert dict(report.counts) == {"WRITTEN": 1}  # nobody has answered in time
        stream = router.PushStream()
        for first in range(0, 500, 50):
            pushes = [push(event=f"e{first + n:03}", user="ada", push_id=f"s{first + n}") for n in range(50)]
            await stream.write(pb.PushStreamRequest(pushes=pushes))
        events = [(await ada.receive())["event"] for _ in range(500)]
        assert events == sorted(events)
        await stream.done_writing()
        reports = [report async for answer in stream for report in answer.reports]
        assert [dict(report.counts) for report in reports] == [{"WRITTEN": 1}] * 500


async def check_what_lay_in_a_buffer_too_long_is_expired(broadcast: Broadcast) -> None:
    cluster, router = broadcast, broadcast.router()
    async with connect(cluster, cluster.gateways[2], "ada") as ada:
        cluster.gateways[2].signal(signal.SIGSTOP)
        asking = asyncio.ensure_future(router.Push(push(user="ada", ttl=Duration(nanos=100_000_000))))
        await asyncio.sleep(0.3)
        cluster.gateways[2].signal(signal.SIGCONT)
        assert dict((await asking).report.counts) == {"EXPIRED": 1}
        assert (await ada.ask(type="ping"))["type"] == "pong"  # and nothing came before it


async def check_a_gateway_that_is_killed_is_unreachable_until_its_lease_is_over(broadcast: Broadcast) -> None:
    cluster, router = broadcast, broadcast.router()
    async with connect(cluster, cluster.gateways[0], "ada") as ada:
        await cluster.gateways[1].kill()
        while "OFFLINE" in (await router.Push(push(user="nobody"))).report.counts:
            await asyncio.sleep(0.01)  # the router has not seen yet that its stream is over
        assert dict((await router.Push(push(user="ada"))).report.counts) == {"WRITTEN": 1, "UNREACHABLE": 1}
        assert (await router.Push(push(session=ada.sid))).report.counts["WRITTEN"] == 1
        async with asyncio.timeout(10):
            while (report := (await router.Push(push(user="nobody"))).report).nodes_contacted > 2:
                await asyncio.sleep(0.1)
        assert dict(report.counts) == {"OFFLINE": 1}
        fresh = await cluster.start_gateway("--node-id", "g9", *cluster.flags)
        async with connect(cluster, fresh, "ada"):
            report = (await router.Push(push(user="ada"))).report
            assert (dict(report.counts), report.nodes_contacted) == ({"WRITTEN": 2}, 3)


async def test_a_bus_that_goes_and_comes_back_and_what_else_is_written_to_it(
    tmp_path: Path, etcd: Server, redis: Server
) -> None:
    with start_redis(tmp_path) as bus:
        cluster = Broadcast(tmp_path, etcd.endpoint, redis.endpoint)
        try:
            await cluster.start(f"bus.redis=redis://{bus.endpoint}")
            await check_poison(cluster, bus)
            await check_bus_away(cluster, bus)
        finally:
            await cluster.stop()


async def check_poison(cluster: Broadcast, bus: Server) -> None:
    async with connect(cluster, cluster.gateways[0], "ada") as ada, Redis.from_url(f"redis://{bus.endpoint}") as other:
        for poison in (pickle.dumps({"method": "emit"}), b"", b"{}", bytes(1_000_000)):
            assert await other.publish(f"pushes-{cluster.name}", poison) == GATEWAYS
        assert dict((await cluster.router().Push(push(user="ada"))).report.counts) == {"WRITTEN": 1}
        assert (await ada.receive())["event"] == "e"
    assert [counted(gateway, "bus_dropped") for gateway in cluster.gateways] == [4] * GATEWAYS


async def check_bus_away(cluster: Broadcast, bus: Server) -> None:
    router = cluster.router()
    async with connect(cluster, cluster.gateways[0], "ada") as ada:
        bus.kill()
        report = (await router.Push(push(user="ada"))).report
        assert (dict(report.counts), report.owning_nodes) == ({"UNREACHABLE": GATEWAYS}, 0)
        assert (await ada.ask(type="ping"))["type"] == "pong"  # nothing came, and the client is still here
        bus.restart()
        async with Redis.from_url(f"redis://{bus.endpoint}") as other, asyncio.timeout(10):
            while (await other.pubsub_numsub(f"pushes-{cluster.name}"))[0][1] < GATEWAYS:
                await asyncio.sleep(0.05)
        assert dict((await router.Push(push(user="ada"))).report.counts) == {"WRITTEN": 1}


async def test_no_bus_at_the_start_is_said_with_its_cure(cluster: Cluster) -> None:
    for kind, *listeners in (("router", "grpc", "http", "admin"), ("gateway", "listen", "node-listen", "admin")):
        flags = [f"--{listener}=127.0.0.1:0" for listener in listeners]
        settings = ("--set=delivery.mode=broadcast", "--set=bus.redis=redis://127.0.0.1:1")
        process = await cluster.spawn(kind, *flags, *settings)
        _, err = await process.communicate()
        assert process.returncode == 1
        assert b"bus.redis: redis://127.0.0.1:1 does not answer" in err
        assert b"homing up" in err
