"""A gateway that was paused past its lease writes nothing; one that lost etcd together with everybody goes on."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.support.calls import push
from tests.support.cluster import Cluster, connect
from tests.support.servers import Server, start_etcd

pytestmark = pytest.mark.timeout(60)


async def test_a_gateway_paused_past_its_lease_writes_nothing_and_begins_a_new_incarnation(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway("--node-id", "paused")
    await cluster.start_router()
    router = cluster.router()
    async with connect(cluster, gateway, "ada") as client:
        gateway.signal(signal.SIGSTOP)
        said = set()
        async with asyncio.timeout(15):
            while "OFFLINE" not in said:  # the lease is over
                said |= set((await router.Push(push("while paused", user="ada"))).report.counts)
        assert said == {"UNREACHABLE", "OFFLINE"}
        gateway.signal(signal.SIGCONT)
        assert await client.wait_closed(10) == (1012, "draining")
        assert [message["type"] for message in await client.rest()] == ["reconnect"]  # and no event
    async with asyncio.timeout(10):
        while True:
            try:
                async with connect(cluster, gateway, "ada") as again:
                    report = (await router.Push(push("after", user="ada"))).report
                    assert dict(report.counts) == {"WRITTEN": 1}
                    assert (await again.receive())["event"] == "after"
                    break
            except Exception as error:
                if "503" not in str(error):
                    raise
                await asyncio.sleep(0.1)


async def test_etcd_away_known_routes_go_on_and_newcomers_are_found_by_scatter(tmp_path: Path, redis: Server) -> None:
    with start_etcd(tmp_path) as etcd:
        cluster = Cluster(tmp_path, etcd.endpoint, redis.endpoint)
        try:
            one = await cluster.start_gateway("--node-id", "one")
            await cluster.start_gateway("--node-id", "two")
            await cluster.start_router()
            router = cluster.router()
            async with connect(cluster, one, "known") as known:
                etcd.kill()
                await asyncio.sleep(4)  # the TTL is 2: every node has lapsed by its own knowledge
                for _ in range(5):
                    report = (await router.Push(push(session=known.sid))).report
                    assert dict(report.counts) == {"WRITTEN": 1}
                async with connect(cluster, one, "newcomer") as newcomer:
                    assert newcomer.hello["registered"] is False
                    report = (await router.Push(push(user="newcomer"))).report
                    assert (dict(report.counts), report.registry_away) == ({"WRITTEN": 1}, True)
                    assert report.nodes_contacted == 1
                    etcd.restart()
                    async with asyncio.timeout(15):
                        while (await router.Push(push(user="newcomer"))).report.registry_away:
                            pass
                    report = (await router.Push(push(session=known.sid))).report
                    assert dict(report.counts) == {"WRITTEN": 1}
        finally:
            await cluster.stop()
