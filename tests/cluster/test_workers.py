"""`--workers N`: several processes of a service behind one port, with real clients, kills, rotations and stops."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import grpc.aio
import pytest

from homing.v1 import router_pb2_grpc
from tests.support.calls import push
from tests.support.certificates import Authority
from tests.support.cluster import ROOT, Client, Cluster, Service, connect

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


async def test_signals_that_reach_workers_as_well_as_their_parent_change_nothing(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway("--workers", "2", "--node-id", "fixed")
    await cluster.start_router()
    workers = [worker["pid"] for worker in gateway.facts["workers"]]
    async with AsyncExitStack() as stack:
        clients = await _connect_all(cluster, gateway, stack, 4)
        for pid in (gateway.process.pid, *workers):
            os.kill(pid, signal.SIGHUP)
        assert dict((await cluster.router().Push(push(file="doc"))).report.counts) == {"WRITTEN": 4}
        for client in clients:
            assert (await client.receive())["type"] == "event"
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        for client in clients:
            assert (await client.receive())["type"] == "reconnect"
        stopping = asyncio.ensure_future(gateway.stop())
        for client in clients:
            await client.connection.close()
        assert await stopping == 0


async def test_a_second_signal_ends_all_at_once(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway("--workers", "2")
    await cluster.start_router()
    async with connect(cluster, gateway, "ada") as client:
        gateway.signal(signal.SIGTERM)
        assert (await client.receive())["type"] == "reconnect"
        gateway.signal(signal.SIGTERM)
        async with asyncio.timeout(1):
            assert await gateway.process.wait() == 1


async def test_a_replaced_worker_shows_the_newest_certificate(cluster: Cluster, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = tmp_path / "live.pem", tmp_path / "live.key"
    for path, live in zip(authority.issue("first.test"), files, strict=True):
        shutil.copyfile(path, live)
    flags = ("--cert", str(files[0]), "--key", str(files[1]), "--set", "gateway.tls.check_seconds=3600")
    gateway = await cluster.start_gateway("--workers", "2", *flags)
    for path, live in zip(authority.issue("second.test"), files, strict=True):
        shutil.copyfile(path, live)
    os.kill(gateway.facts["workers"][0]["pid"], signal.SIGKILL)
    await _wait_ready(gateway, False)
    await _wait_ready(gateway, True)
    port = int(gateway.url.rpartition(":")[2].partition("/")[0])
    gateway.signal(signal.SIGHUP)
    context = ssl.create_default_context(cafile=authority.ca)
    async with asyncio.timeout(5):
        while await asyncio.to_thread(_shown, context, port, 8) != {"second.test"}:
            await asyncio.sleep(0.05)


def _shown(context: ssl.SSLContext, port: int, times: int) -> set[str]:
    """The names in the certificates that some connections see."""
    names = set()
    for _ in range(times):
        plain = socket.create_connection(("127.0.0.1", port))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            subject = connection.getpeercert()["subject"]
        names.add(dict(one for part in subject for one in part)["commonName"])
    return names


async def test_without_a_reader_the_service_says_why_it_ends(cluster: Cluster) -> None:
    flags = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--node-listen", "127.0.0.1:0")
    command = (sys.executable, "-m", "gateway", "--config", str(cluster.config), "--workers", "2", *flags)
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=writing, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ}
    )
    os.close(writing)
    _, error = await process.communicate()
    assert process.returncode == 1
    assert b"stdout: cannot print the ready line: Broken pipe" in error


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
