"""Every service is restarted under load, one by one: no push fails, none is received twice, nobody is left out."""

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from homing import Outcome, Router
from homing.cluster import cluster_file
from homing.cluster.cluster_file import ClusterFile, GatewayEntry
from homing.command.listening_client import ListeningClient
from tests.support.cluster import Client, Cluster, Service, connect
from tests.support.moving_client import MovingClient

pytestmark = pytest.mark.timeout(90)
RATE = 300.0  # pushes a second
CLIENTS = 30


class Load:
    """Pushes at a constant rate to one user after the other; keeps all outcomes."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._tasks: set[asyncio.Task[None]] = set()
        self.outcomes: Counter[Outcome] = Counter()
        self.errors: list[Exception] = []
        self.sent = 0

    async def run(self) -> None:
        for number in itertools.count():
            task = asyncio.ensure_future(self._push(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self.sent += 1
            await asyncio.sleep(1 / RATE)

    async def finish(self) -> None:
        await asyncio.gather(*self._tasks)

    async def _push(self, number: int) -> None:
        try:
            report = await self._router.push(user=f"user-{number % CLIENTS}", event="e", data=number)
        except Exception as error:
            self.errors.append(error)
        else:
            self.outcomes.update(report.counts)


@contextlib.asynccontextmanager
async def load(router: Router) -> AsyncIterator[Load]:
    made = Load(router)
    running = asyncio.ensure_future(made.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.finish()


async def collect(client: Client, received: Counter[str]) -> None:
    with contextlib.suppress(Exception):
        while True:
            received[(await client.receive(60))["push"]] += 1


async def test_routers_are_stopped_one_by_one_and_no_push_is_sent_twice(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    await cluster.start_router()
    await cluster.start_router()
    received: Counter[str] = Counter()
    async with contextlib.AsyncExitStack() as stack:
        for number in range(CLIENTS):
            client = await stack.enter_async_context(connect(cluster, gateway, f"user-{number}", max_queue=None))
            reading = asyncio.ensure_future(collect(client, received))
            stack.callback(reading.cancel)
        addresses = [str(router.facts["grpc"]) for router in cluster.routers]
        async with Router(*addresses) as router, load(router) as pushing:
            for old in list(cluster.routers):
                await asyncio.sleep(1)
                assert await restart(cluster, old) == 0
            await asyncio.sleep(1)
        async with asyncio.timeout(10):
            while len(received) < pushing.sent:
                await asyncio.sleep(0.05)
    assert not pushing.errors
    assert pushing.outcomes == {Outcome.WRITTEN: pushing.sent}, "a DUPLICATE would be a push that was sent twice"
    assert set(received.values()) == {1}


async def test_gateways_are_restarted_one_by_one_and_nobody_misses_a_push(cluster: Cluster) -> None:
    await asyncio.gather(*(cluster.start_gateway("--node-id", f"g{number}") for number in range(3)))
    await cluster.start_router()
    serving = list(cluster.gateways)  # where a balancer leads
    turn = itertools.count()
    clients = [
        MovingClient(cluster, f"user-{number}", lambda: serving[next(turn) % len(serving)], "doc")
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    await asyncio.gather(*(client.ready.wait() for client in clients))
    async with Router(str(cluster.routers[0].facts["grpc"])) as router, load(router) as pushing:
        for number, old in enumerate(list(cluster.gateways)):
            serving.remove(old)
            assert await old.stop() == 0
            serving.append(await cluster.start_gateway("--node-id", f"g{number}-again"))
        await asyncio.sleep(1)
    await settle(clients, pushing.sent)
    await asyncio.gather(*(client.close() for client in clients))
    assert not pushing.errors
    assert set(pushing.outcomes) == {Outcome.WRITTEN}, pushing.outcomes
    for number, client in enumerate(clients):
        assert client.order == list(range(number, pushing.sent, CLIENTS)), number
    assert [gap for client in clients for gap in client.gaps] == []


async def test_homing_listen_moves_and_prints_every_push_once(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = await cluster.start_gateway("--node-id", "old")
    await cluster.start_router()
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    name_gateways(run_dir, old)
    client = ListeningClient("user-0", ["doc"], None, cluster.token("user-0", "doc"), run_dir, True)
    listening = asyncio.ensure_future(client.run())
    printed: list[dict[str, Any]] = []
    async with asyncio.timeout(40), Router(str(cluster.routers[0].facts["grpc"])) as router:
        while not any(message["type"] == "ok" for message in printed):
            printed += read_lines(capsys)
            await asyncio.sleep(0.05)
        name_gateways(run_dir, await cluster.start_gateway("--node-id", "new"))
        stopping, numbers = asyncio.ensure_future(old.stop()), 0
        while not stopping.done():
            report = await router.push(file="doc", event="n", data=numbers)
            assert set(report.counts) == {Outcome.WRITTEN}, report
            numbers += 1
        printed += read_lines(capsys)
        while [one["data"] for one in printed if one["type"] == "event"][-1] != numbers - 1:
            await asyncio.sleep(0.05)
            printed += read_lines(capsys)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert [one["node"] for one in printed if one["type"] == "hello"] == ["old", "new"]
    assert [one["data"] for one in printed if one["type"] == "event"] == list(range(numbers))


def name_gateways(run_dir: Path, *gateways: Service) -> None:
    entries = [GatewayEntry(gateway.node, gateway.url, 1) for gateway in gateways]
    cluster_file.write(run_dir, ClusterFile(etcd=[], redis="", gateways=entries, routers=[], servers={}))


def read_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def settle(clients: list[MovingClient], sent: int) -> None:
    """Until everything has arrived, or for some seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while sum(len(client.received) for client in clients) < sent:
                await asyncio.sleep(0.05)


async def restart(cluster: Cluster, old: Service) -> int:
    """Stop a router, and start another one at its addresses; the exit code of the first."""
    grpc, http = (str(old.facts[name]) for name in ("grpc", "http"))
    status = await old.stop()
    cluster.routers.remove(old)
    await cluster.start_router("--grpc", grpc, "--http", http)
    return status
