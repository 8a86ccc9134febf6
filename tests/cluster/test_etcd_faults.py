"""etcd hangs past the TTL, is wiped, is restored from a backup: clients stay, and pushes find them again."""

import asyncio
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from homing.v1 import router_pb2 as pb
from tests.support.calls import push
from tests.support.cluster import Client, Cluster, Service, connect
from tests.support.servers import Server, etcdctl, restore_etcd, start_etcd

pytestmark = pytest.mark.timeout(120)
CLIENTS = 12


class Faulty:
    """Two gateways and a router on an etcd of their own, with clients on both gateways."""

    def __init__(self, etcd: Server, data: Path, cluster: Cluster, clients: list[Client]) -> None:
        self.etcd = etcd
        self.data = data
        self.cluster = cluster
        self.clients = clients

    gateway: Service

    def closed(self) -> list[Client]:
        return [client for client in self.clients if client.connection.close_code is not None]

    async def push_to_all(self) -> Counter[str]:
        """One push to each user; the outcomes."""
        router = self.cluster.router()
        reports = await asyncio.gather(*(router.Push(push(user=f"user-{n}")) for n in range(CLIENTS)))
        return Counter(outcome for answer in reports for outcome in answer.report.counts)

    async def until_all_written(self, within: float) -> Counter[str]:
        """Push until everybody gets every push again; all outcomes on the way."""
        seen: Counter[str] = Counter()
        async with asyncio.timeout(within):
            while True:
                outcomes = await self.push_to_all()
                seen += outcomes
                if outcomes == {"WRITTEN": CLIENTS}:
                    return seen
                await asyncio.sleep(0.05)


@pytest.fixture(params=[2])
async def faulty(request: pytest.FixtureRequest, tmp_path: Path, redis: Server) -> AsyncIterator[Faulty]:
    with start_etcd(tmp_path) as etcd:
        cluster = Cluster(tmp_path, etcd.endpoint, redis.endpoint, ttl=request.param)
        try:
            gateways = [await cluster.start_gateway("--node-id", name) for name in ("one", "two")]
            await cluster.start_router()
            async with AsyncExitStack() as stack:
                clients = [
                    await stack.enter_async_context(
                        connect(cluster, gateways[n % 2], f"user-{n}", "doc", max_queue=None)
                    )
                    for n in range(CLIENTS)
                ]
                faulty = Faulty(etcd, tmp_path / "etcd", cluster, clients)
                faulty.gateway = gateways[0]
                yield faulty
        finally:
            await cluster.stop()


async def file_report(faulty: Faulty) -> pb.PushReport:
    return (await faulty.cluster.router().Push(push(file="doc"))).report


async def test_an_etcd_that_hangs_past_the_ttl_disconnects_nobody(faulty: Faulty) -> None:
    faulty.etcd.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(5)  # the TTL is 2: etcd expires every lease when it goes on
    assert await faulty.push_to_all() == {"WRITTEN": CLIENTS}
    faulty.etcd.process.send_signal(signal.SIGCONT)
    seen = Counter[str]()
    for _ in range(40):
        seen += await faulty.push_to_all()
        await asyncio.sleep(0.05)
    seen += await faulty.until_all_written(10)
    assert not faulty.closed()
    assert set(seen) <= {"WRITTEN", "UNREACHABLE"}, seen
    assert dict((await file_report(faulty)).counts) == {"WRITTEN": CLIENTS}


async def test_after_a_wipe_of_etcd_everybody_stays_and_is_found_again(faulty: Faulty) -> None:
    faulty.etcd.kill()
    shutil.rmtree(faulty.data)
    faulty.etcd.restart()
    await check_recovered(faulty)


async def test_after_a_restore_of_an_older_backup_everybody_stays_and_is_found_again(
    faulty: Faulty, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    etcdctl(faulty.etcd, "snapshot", "save", str(backup))
    gateway = await faulty.cluster.start_gateway("--node-id", "three")  # unknown to the backup
    async with connect(faulty.cluster, gateway, "late") as late:
        faulty.etcd.kill()
        shutil.rmtree(faulty.data)
        restore_etcd(backup, faulty.data)
        faulty.etcd.restart()
        await check_recovered(faulty)
        await until_written(faulty, late)  # a scatter to the nodes of the backup contacts two as well
        assert late.connection.close_code is None


async def test_a_restore_that_has_grown_beyond_what_a_router_saw_is_noticed(faulty: Faulty, tmp_path: Path) -> None:
    backup, router = tmp_path / "backup", faulty.cluster.routers[0].process
    etcdctl(faulty.etcd, "snapshot", "save", str(backup))
    gateway = await faulty.cluster.start_gateway("--node-id", "three")
    async with connect(faulty.cluster, gateway, "late") as late:
        node = f"/homing/{faulty.cluster.name}/nodes/three"
        router.send_signal(signal.SIGSTOP)
        faulty.etcd.kill()
        shutil.rmtree(faulty.data)
        restore_etcd(backup, faulty.data)
        faulty.etcd.restart()
        async with asyncio.timeout(20):
            while node not in etcdctl(faulty.etcd, "get", node):  # the gateway has noticed
                await asyncio.sleep(0.1)
        for number in range(40):
            etcdctl(faulty.etcd, "put", "/elsewhere", str(number))
        router.send_signal(signal.SIGCONT)
        await until_written(faulty, late)
        assert late.connection.close_code is None
        assert not faulty.closed()


async def until_written(faulty: Faulty, client: Client) -> None:
    """Push to one session until its node is known again; until then nobody can say where it is."""
    seen = Counter[str]()
    async with asyncio.timeout(20):
        while not seen["WRITTEN"]:
            seen += (await faulty.cluster.router().Push(push(session=client.sid))).report.counts
            await asyncio.sleep(0.05)
    assert set(seen) <= {"WRITTEN", "UNREACHABLE"}, seen


async def check_recovered(faulty: Faulty) -> None:
    seen = await faulty.until_all_written(30)
    assert not faulty.closed()
    assert set(seen) <= {"WRITTEN", "UNREACHABLE"}, seen
    async with asyncio.timeout(10):
        while (report := await file_report(faulty)).nodes_contacted != 2:  # nobody needs scatter any more
            await asyncio.sleep(0.05)
    assert (dict(report.counts), report.owning_nodes) == ({"WRITTEN": CLIENTS}, 2)


@pytest.mark.parametrize("faulty", [10], indirect=True)  # the default TTL
async def test_clients_stay_when_a_backup_has_the_node_and_not_its_newest_batch(faulty: Faulty, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    etcdctl(faulty.etcd, "snapshot", "save", str(backup))
    async with connect(faulty.cluster, faulty.gateway, "late") as late:  # a batch that the backup does not have
        faulty.etcd.kill()
        shutil.rmtree(faulty.data)
        restore_etcd(backup, faulty.data)
        faulty.etcd.restart()
        await asyncio.sleep(14)  # a keepalive (TTL / 3), then 5 s for a new incarnation
        assert not faulty.closed()
        assert late.connection.close_code is None
        await check_recovered(faulty)
