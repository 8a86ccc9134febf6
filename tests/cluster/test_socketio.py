"""Socket.IO without sticky sessions, by real processes: every request of a client goes to another gateway.

Clients that others wrote are in tests/interop/socketio (`make socketio`).
"""

import asyncio
import json

import aiohttp
import pytest

from homing.v1 import router_pb2 as pb
from tests.support.calls import push
from tests.support.cluster import Cluster
from tests.support.engine_node import Polling
from tests.support.servers import Server

pytestmark = pytest.mark.timeout(60)
PUSHES = 40


@pytest.fixture
async def made(tmp_path, etcd: Server, redis: Server):
    cluster = Cluster(tmp_path, etcd.endpoint, redis.endpoint)
    secret = tmp_path / "secret"
    secret.write_text("a secret that they share")
    cluster.registry["secret_file"] = str(secret)
    cluster.write_config(socketio={"namespaces": ["/", "/chat"]})
    try:
        for name in ("one", "two", "three"):
            await cluster.start_gateway("--node-id", name)
        await cluster.start_router()
        yield cluster
    finally:
        await cluster.stop()


def urls(cluster: Cluster) -> list[str]:
    return [gateway.facts["url"].replace("ws://", "http://").removesuffix("/ws") for gateway in cluster.gateways]


async def connected(cluster: Cluster, http: aiohttp.ClientSession) -> tuple[Polling, int]:
    """A client at the first gateway, and its session."""
    client = Polling(http, urls(cluster)[0])
    await client.open()
    return client, int(await client.connect(json.dumps({"token": cluster.token("ada", "doc"), "files": ["doc"]})))


async def send_pushes(cluster: Cluster, sid: int) -> list[dict[str, int]]:
    """To the session, its user and its file in turn, one after the other."""
    reports = []
    for number in range(PUSHES):
        target = ({"session": sid}, {"user": "ada"}, {"file": "doc"})[number % 3]
        request = push(event="n", data=b"%d" % number, **target)
        reports.append(dict((await cluster.router().Push(request)).report.counts))
        await asyncio.sleep(0.01)
    return reports


async def test_each_poll_goes_to_another_gateway(made: Cluster) -> None:
    async with aiohttp.ClientSession() as http:
        one, two, three = urls(made)
        client, sid = await connected(made, http)
        sending = asyncio.ensure_future(send_pushes(made, sid))
        received: list[str] = []
        turn = 0
        while len(received) < PUSHES:
            turn += 1
            received += await client.poll((two, three, one)[turn % 3])
        assert received == [f'42["n",{number}]' for number in range(PUSHES)]
        assert await sending == [{"WRITTEN": 1}] * PUSHES
        await client.post("1", url=three)


async def test_an_upgrade_that_lands_elsewhere_loses_and_doubles_nothing(made: Cluster) -> None:
    async with aiohttp.ClientSession() as http:
        two = urls(made)[1]
        client, sid = await connected(made, http)
        sending = asyncio.ensure_future(send_pushes(made, sid))
        received = await client.poll(two)
        async with client.websocket(two) as websocket:
            await websocket.send("2probe")
            assert await websocket.recv() == "3probe"
            found = await client.poll()
            received += [packet for packet in found if packet != "6"]
            await asyncio.sleep(0.05)  # some wait for a poll that does not come
            await websocket.send("5")
            while len(received) < PUSHES:
                received.append(str(await websocket.recv()))
            assert received == [f'42["n",{number}]' for number in range(PUSHES)]
            assert await sending == [{"WRITTEN": 1}] * PUSHES
            located = await made.router().Locate(pb.LocateRequest(target=pb.Target(session=sid)))
            assert "two" in str(located)
