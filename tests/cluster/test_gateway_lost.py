"""A gateway dies without a word: what pushes to it become, what happens to the others, and what is left in etcd."""

import asyncio
import time
from collections import Counter

import pytest
from google.protobuf.duration_pb2 import Duration
from redis.asyncio import Redis

from homing.v1 import router_pb2_grpc
from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.keys import Keys
from tests.support.calls import push
from tests.support.cluster import Cluster, connect

pytestmark = pytest.mark.timeout(90)


async def _keys(store: EtcdStore, keys: Keys) -> list[str]:
    return [entry.key for entry in (await store.get_prefix(keys.prefix, keys_only=True)).entries]


async def _push_until(router: router_pb2_grpc.RouterStub, outcome: str, within: float, **target: object) -> list[str]:
    """Push again and again until this outcome; all outcomes on the way."""
    outcomes: list[str] = []
    async with asyncio.timeout(within):
        while not outcomes or outcomes[-1] != outcome:
            (said,) = (await router.Push(push(**target))).report.counts
            outcomes.append(said)
            await asyncio.sleep(0.01)
    return outcomes


async def test_kill_9_of_one_gateway_of_three(cluster: Cluster) -> None:
    doomed = await cluster.start_gateway("--node-id", "doomed")
    other = await cluster.start_gateway("--node-id", "other")
    await cluster.start_gateway("--node-id", "third")
    await cluster.start_router()
    router, keys = cluster.router(), Keys(cluster.name)
    store = EtcdStore(EtcdSettings(endpoints=(cluster.etcd,)))
    async with connect(cluster, other, "kept", "doc") as kept, connect(cluster, doomed, "lost", "doc") as lost:
        undisturbed: Counter[str] = Counter()
        stop = asyncio.Event()

        async def disturb() -> None:
            while not stop.is_set():
                undisturbed.update((await router.Push(push(user="kept"))).report.counts)
                await kept.receive(1.0)

        async with asyncio.TaskGroup() as group:
            group.create_task(disturb())
            await doomed.kill()
            killed = time.monotonic()
            first = (await router.Push(push(user="lost"))).report
            assert time.monotonic() - killed < 0.5
            assert dict(first.counts) == {"UNREACHABLE": 1}
            assert [(d.session, d.user, d.node) for d in first.deliveries] == [(lost.sid, "lost", "doomed")]
            both = (await router.Push(push(file="doc"))).report
            assert dict(both.counts) == {"WRITTEN": 1, "UNREACHABLE": 1}
            assert [d.node for d in both.deliveries] == ["doomed", "other"]  # worst first
            outcomes = await _push_until(router, "OFFLINE", within=10, user="lost")
            assert set(outcomes[:-1]) == {"UNREACHABLE"}
            newcomer = await cluster.start_gateway()
            stop.set()
        assert set(undisturbed) == {"WRITTEN"}
        assert undisturbed["WRITTEN"] > 100
        living = [gateway.facts["machine"] for gateway in cluster.gateways if gateway not in (doomed, newcomer)]
        assert newcomer.facts["machine"] not in living

        left = await _keys(store, keys)
        assert keys.node("doomed") not in left
        assert keys.batch("doomed") not in left
        machine = await store.get(keys.machine(doomed.facts["machine"]))
        assert machine is None or machine.value != b"doomed"  # free, or a newcomer's by now
        async with asyncio.timeout(20):
            while any("doomed" in key for key in await _keys(store, keys)):
                await asyncio.sleep(0.1)
        assert dict((await router.Push(push(file="doc"))).report.counts) == {"WRITTEN": 1}
        lost.connection.transport.abort()
    await store.close()


async def test_experiment_21_a_leased_machine_id_is_never_given_twice(cluster: Cluster) -> None:
    """Thirty at once: as many different machine ids, and a fixed one that is held makes its claimant exit."""
    first = await cluster.start_gateway("--set", "registry.machine=7")
    assert first.facts["machine"] == 7
    claimant = await cluster.spawn(
        "gateway",
        *("--listen", "127.0.0.1:0", "--node-listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
        *("--set", "registry.machine=7"),
    )
    out, err = await asyncio.wait_for(claimant.communicate(), 20)
    assert (claimant.returncode, out) == (1, b"")
    assert first.node in err.decode()
    assert "Traceback" not in err.decode()
    others = await asyncio.gather(*(cluster.start_gateway() for _ in range(3)))
    machines = [gateway.facts["machine"] for gateway in (first, *others)]
    assert len(set(machines)) == 4


async def test_the_sessions_of_a_killed_gateway_are_disconnected_by_the_sweeper(cluster: Cluster) -> None:
    doomed, other = await cluster.start_gateway(), await cluster.start_gateway()
    await cluster.start_router()
    async with connect(cluster, doomed, "lost", "doc") as lost, connect(cluster, other, "kept"):
        await doomed.kill()
        disconnects: list[dict[bytes, bytes]] = []
        async with Redis.from_url(f"redis://{cluster.redis}") as redis, asyncio.timeout(20):
            while not disconnects:
                entries = [fields for _, fields in await redis.xrange(cluster.stream)]
                disconnects = [fields for fields in entries if fields[b"X-Event"] == b"disconnect"]
                await asyncio.sleep(0.05)
        (one,) = disconnects
        assert (one[b"X-ID"], one[b"X-Uid"]) == (b"%d" % lost.sid, b"lost")
        assert one[b"X-Reason"] == b"1006 node_lost"
        assert b"X-Seq" not in one


async def test_a_push_that_waits_for_an_ack_is_reported_when_its_gateway_stops(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    await cluster.start_router()
    async with connect(cluster, gateway, "ada") as client:
        request = push(user="ada", ack_timeout=Duration(seconds=30))
        waiting = asyncio.ensure_future(cluster.router().Push(request))
        await client.receive()
        assert await gateway.stop() == 0
        assert dict((await waiting).report.counts) == {"WRITTEN": 1}


async def test_a_clean_stop_leaves_no_key_and_closes_with_1012(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    await cluster.start_router()
    store, keys = EtcdStore(EtcdSettings(endpoints=(cluster.etcd,))), Keys(cluster.name)
    async with connect(cluster, gateway, "ada", "doc") as client:
        stopping = asyncio.create_task(gateway.stop())
        assert await client.wait_closed() == (1012, "draining")
    assert await stopping == 0
    left = [key for key in await _keys(store, keys) if "/floors/" not in key]
    assert left == [keys.layout, keys.sweeper]
    assert dict((await cluster.router().Push(push(user="ada"))).report.counts) == {"OFFLINE": 1}
    await store.close()
