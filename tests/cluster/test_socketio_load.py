"""Many Socket.IO clients without sticky sessions, while pushes go: `make socketio-load`. Its figures are printed.

Half of them poll, each request at the next gateway; the others upgrade to a WebSocket at another one, each at a
random moment.
"""

import asyncio
import json
import os
import random
from collections import Counter

import aiohttp
import pytest
import websockets

from tests.cluster.test_socketio import made, urls
from tests.support.calls import push
from tests.support.cluster import Cluster
from tests.support.engine_node import Polling

CLIENTS = int(os.environ.get("CLIENTS", "200"))  # of each kind
SECONDS = float(os.environ.get("SECONDS", "300"))
RATE = 200  # pushes a second
UPGRADES_WITHIN = 20.0  # seconds; a connection that is older is not taken over

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 120)]
__all__ = ["made"]


class Crowd:
    """The clients, and what each has received."""

    def __init__(self, cluster: Cluster, http: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.http = http
        self.urls = urls(cluster)
        self.requests = 0
        self.sessions: dict[int, int] = {}  # session id by client
        self.received: dict[int, Counter[int]] = {}  # numbers of pushes by client
        self.upgraded = 0

    def next_url(self) -> str:
        self.requests += 1
        return self.urls[self.requests % len(self.urls)]

    async def run(self, number: int) -> None:
        """One client, until it is cancelled."""
        client = Polling(self.http, self.next_url())
        await client.open()
        client.url = self.next_url()
        await client.post("40" + json.dumps({"token": self.cluster.token(f"u{number}")}), url=self.next_url())
        await self._poll(number, client)
        if number % 2:
            polling = asyncio.ensure_future(self._poll_on(number, client))
            await asyncio.sleep(random.random() * min(UPGRADES_WITHIN, SECONDS / 2))
            async with client.websocket(self.next_url()) as websocket:
                await self._upgrade(number, websocket, polling)
        await self._poll_on(number, client)

    async def _poll(self, number: int, client: Polling) -> bool:
        """One poll. True: the client may stop polling, since its upgrade was announced."""
        packets = await client.poll(self.next_url())
        for packet in packets:
            if packet == "2":
                await client.post("3", url=self.next_url())
            self._take(number, packet)
        return "6" in packets

    async def _poll_on(self, number: int, client: Polling) -> None:
        while not await self._poll(number, client):
            pass

    async def _upgrade(
        self, number: int, websocket: websockets.ClientConnection, polling: "asyncio.Future[None]"
    ) -> None:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        await polling
        await websocket.send("5")
        self.upgraded += 1
        while True:
            packet = str(await websocket.recv())
            if packet == "2":
                await websocket.send("3")
            self._take(number, packet)

    def _take(self, number: int, packet: str) -> None:
        if packet.startswith("40"):
            self.sessions[number] = int(json.loads(packet[2:])["sid"])
        elif packet.startswith('42["n",'):
            self.received.setdefault(number, Counter())[int(packet[7:-1])] += 1


async def test_every_push_is_received_once_or_reported_otherwise(made: Cluster) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        crowd = Crowd(made, http)
        clients = [asyncio.ensure_future(crowd.run(number)) for number in range(2 * CLIENTS)]
        async with asyncio.timeout(60):
            while len(crowd.sessions) < len(clients):
                await asyncio.sleep(0.05)
                assert not [client.exception() for client in clients if client.done()]
        outcomes = await send_pushes(made, crowd)
        await asyncio.sleep(2)  # what is QUEUED
        failed = [client.exception() for client in clients if client.done()]
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        doubled = sum(count > 1 for received in crowd.received.values() for count in received.values())
        missing = sum(not crowd.received.get(client, Counter())[number] for number, client in outcomes["WRITTEN"])
        counts = {outcome: len(pushes) for outcome, pushes in outcomes.items()}
        print(f"\n{2 * CLIENTS} clients, {crowd.upgraded} upgraded, {SECONDS:g} s: {counts}; {missing=} {doubled=}")
        assert (failed, missing, doubled) == ([], 0, 0)


async def send_pushes(cluster: Cluster, crowd: Crowd) -> dict[str, list[tuple[int, int]]]:
    """At the rate, to sessions and users in turn. The number and the client of each push, by its outcome."""
    router, outcomes, sending = cluster.router(), {"WRITTEN": []}, []  # type: ignore[var-annotated]

    async def send(number: int) -> None:
        client = random.randrange(2 * CLIENTS)
        target = {"session": crowd.sessions[client]} if number % 2 else {"user": f"u{client}"}
        report = (await router.Push(push(event="n", data=b"%d" % number, **target))).report
        outcomes.setdefault(",".join(report.counts), []).append((number, client))

    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(round(SECONDS * RATE)):
        await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
        sending.append(asyncio.ensure_future(send(number)))
    await asyncio.gather(*sending)
    return outcomes
