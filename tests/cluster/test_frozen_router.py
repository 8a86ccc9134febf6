"""A router that is stopped for a while: clients that come meanwhile are not held up, and no push of its is too late, or
leaves anybody out, when it goes on."""

import asyncio
import signal
import time

import pytest
from google.protobuf.duration_pb2 import Duration

from tests.support.calls import push
from tests.support.cluster import Cluster, connect

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def frozen(cluster: Cluster) -> Cluster:
    """Two gateways and two routers; a test stops the second router."""
    await asyncio.gather(*(cluster.start_gateway("--node-id", f"g{number}") for number in range(2)))
    cluster.gateways.sort(key=lambda gateway: gateway.node)
    await cluster.start_router()
    await cluster.start_router()
    return cluster


async def test_nobody_waits_for_it_for_long_and_it_leaves_nobody_out_afterwards(frozen: Cluster) -> None:
    router = frozen.routers[1]
    async with connect(frozen, frozen.gateways[0], "ada", "doc") as older:
        router.signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)
        async with connect(frozen, frozen.gateways[1], "first"):
            await asyncio.sleep(1.2)
        took = []
        for number in range(10):
            began = time.monotonic()
            async with connect(frozen, frozen.gateways[1], f"user-{number}"):
                took.append(time.monotonic() - began)
        assert sorted(took)[5] < 0.2, took  # each took 250 ms more
        async with connect(frozen, frozen.gateways[1], "ada", "doc") as newer:
            reports = asyncio.gather(
                frozen.router(1).Push(push("to the user", user="ada")),
                frozen.router(1).Push(push("to the file", file="doc")),
            )
            await asyncio.sleep(0.2)  # the pushes wait in its socket
            router.signal(signal.SIGCONT)
            counts = [dict(answer.report.counts) for answer in await reports]
            assert counts == [{"WRITTEN": 2}, {"WRITTEN": 2}]
            for client in (older, newer):
                assert {(await client.receive())["event"] for _ in range(2)} == {"to the user", "to the file"}


async def test_what_waited_longer_than_its_ttl_is_expired_and_never_written(frozen: Cluster) -> None:
    async with connect(frozen, frozen.gateways[0], "ada") as client:
        router = frozen.router(1)
        assert dict((await router.Push(push("before", user="ada"))).report.counts) == {"WRITTEN": 1}
        frozen.routers[1].signal(signal.SIGSTOP)
        waiting = [
            asyncio.ensure_future(router.Push(push(f"short {n}", user="ada", ttl=Duration(seconds=2))))
            for n in range(20)
        ]
        waiting.append(asyncio.ensure_future(router.Push(push("long", user="ada", ttl=Duration(seconds=60)))))
        await asyncio.sleep(4)
        frozen.routers[1].signal(signal.SIGCONT)
        outcomes = [dict((await call).report.counts) for call in waiting]
        assert outcomes == [{"EXPIRED": 1}] * 20 + [{"WRITTEN": 1}]
        assert dict((await router.Push(push("after", user="ada", ttl=Duration(seconds=2)))).report.counts) == {
            "WRITTEN": 1
        }
        assert [(await client.receive())["event"] for _ in range(3)] == ["before", "long", "after"]
