"""`--workers N`: several processes of a service behind one port, with real clients, kills, rotations and stops."""

import asyncio
import os
import signal
import socket
import ssl
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import grpc.aio
import pytest

from homing.v1 import router_pb2_grpc
from tests.support.calls import push
from tests.support.certificates import Authority
from tests.support.cluster import Client, Cluster, Service, connect

pytestmark = pytest.mark.timeout(90)

CLIENTS = 300
SPREAD = 0.2  # of the mean; 300 clients by chance: a fifth more or less is 3.5 standard deviations


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def _get(service: Service, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(f"http://{service.facts['admin']}{path}") as answer:
        return answer.status, await answer.text()


async def _wait_ready(service: Service, ready: bool) -> None:
    async with asyncio.timeout(20):
        while ((await _get(service, "/readyz"))[0] == 200) is not ready:
            await asyncio.sleep(0.05)


async def _connect_all(cluster: Cluster, gateway: Service, stack: AsyncExitStack, count: int) -> list[Client]:
    connecting = (
        stack.enter_async_context(connect(cluster, gateway, f"user-{number}", "doc")) for number in range(count)
    )
    return list(await asyncio.gather(*connecting))


async def test_clients_spread_over_workers_and_a_file_reaches_all(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway("--workers", "2")
    await cluster.start_router()
    assert len(gateway.facts["workers"]) == 2
    assert len({worker["node_id"] for worker in gateway.facts["workers"]}) == 2
    assert len({worker["url"] for worker in gateway.facts["workers"]}) == 1
    async with AsyncExitStack() as stack:
        clients = await _connect_all(cluster, gateway, stack, CLIENTS)
        counted = Counter(client.hello["node"] for client in clients)
        assert set(counted) == {worker["node_id"] for worker in gateway.facts["workers"]}
        assert max(counted.values()) <= CLIENTS / 2 * (1 + SPREAD), counted
        report = (await cluster.router().Push(push(file="doc"))).report
        assert (dict(report.counts), report.owning_nodes) == ({"WRITTEN": CLIENTS}, 2)
        for client in clients:
            assert (await client.receive())["type"] == "event"
        status, text = await _get(gateway, "/metrics")
        assert status == 200
        opened = [line for line in text.splitlines() if line.startswith("homing_gateway_connections_opened_total{")]
        assert sorted(line.partition(" ")[0].partition("{")[2] for line in opened) == ['worker="0"}', 'worker="1"}']
        assert sum(float(line.rpartition(" ")[2]) for line in opened) == CLIENTS
    assert await gateway.stop() == 0


async def test_a_worker_that_is_killed_is_replaced_and_no_client_is_refused(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway("--workers", "2")
    await cluster.start_router()
    first, second = (worker["pid"] for worker in gateway.facts["workers"])
    os.kill(first, signal.SIGKILL)
    await _wait_ready(gateway, False)
    async with AsyncExitStack() as stack:  # those whom the kernel gives to the dead worker wait for the next one
        clients = await _connect_all(cluster, gateway, stack, 40)
        assert {client.hello["node"] for client in clients} >= {gateway.facts["workers"][1]["node_id"]}
        assert len({client.hello["node"] for client in clients}) == 2
        report = (await cluster.router().Push(push(file="doc"))).report
        assert dict(report.counts) == {"WRITTEN": 40}
    await _wait_ready(gateway, True)
    assert _lives(second)
    assert await gateway.stop() == 0


async def test_clients_are_moved_when_all_workers_drain(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway("--workers", "2")
    await cluster.start_router()
    async with AsyncExitStack() as stack:
        clients = await _connect_all(cluster, gateway, stack, 20)
        stopping = asyncio.ensure_future(gateway.stop())
        for client in clients:
            assert (await client.receive())["type"] == "reconnect"
            await client.connection.close()
        assert await stopping == 0
    workers = [worker["pid"] for worker in gateway.facts["workers"]]
    assert not [pid for pid in workers if _lives(pid)]


async def test_workers_drain_when_their_parent_is_killed(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway("--workers", "2")
    await cluster.start_router()
    async with connect(cluster, gateway, "ada") as client:
        await gateway.kill()
        assert (await client.receive())["type"] == "reconnect"


async def test_an_address_in_use_is_one_line(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    address = gateway.url.removeprefix("ws://").removesuffix("/ws")
    other = await cluster.spawn("gateway", "--workers", "2", "--listen", address)
    _, error = await other.communicate()
    assert other.returncode == 1
    assert error.decode().startswith(f"gateway.listen: cannot listen on {address}: Address already in use")


async def test_a_worker_that_cannot_start_ends_the_service(cluster: Cluster) -> None:
    flags = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--set", 'registry.etcd=["127.0.0.1:1"]')
    gateway = await cluster.spawn("gateway", "--workers", "2", *flags, "--set", "registry.start_limit=0.5")
    _, error = await gateway.communicate()
    assert gateway.returncode == 1
    assert b"127.0.0.1:1" in error


async def test_a_tls_session_is_resumed_on_any_worker(cluster: Cluster, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("gateway.test")
    gateway = await cluster.start_gateway("--workers", "2", "--cert", pair.cert, "--key", pair.key)
    context = ssl.create_default_context(cafile=authority.ca)
    port = int(gateway.url.rpartition(":")[2].partition("/")[0])
    assert all(await asyncio.gather(*(asyncio.to_thread(_resumes, context, port) for _ in range(4))))
    assert await gateway.stop() == 0


def _resumes(context: ssl.SSLContext, port: int) -> bool:
    """Whether 10 connections, on whatever worker, resume the session of a first one."""
    session = None
    for _ in range(11):
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", port)), server_hostname="gateway.test", session=session
        ) as connection:
            if session is not None and not connection.session_reused:
                return False
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            connection.recv(100)  # and the ticket before it
            session = session or connection.session
    return True


async def test_routers_share_their_ports(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    router = await cluster.start_router("--workers", "2")
    assert len(router.facts["workers"]) == 2
    async with connect(cluster, gateway, "ada") as client:
        for _ in range(10):
            async with grpc.aio.insecure_channel(
                router.facts["grpc"], options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel:
                report = (await router_pb2_grpc.RouterStub(channel).Push(push(user="ada"))).report
            assert dict(report.counts) == {"WRITTEN": 1}
            await client.receive()
    _, text = await _get(router, "/metrics")
    pushes = [line for line in text.splitlines() if line.startswith("homing_router_pushes_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in pushes) == 10
    assert await router.stop() == 0
