"""The clients of one server, as a process: `bench.peers.measure` sends it one command a line.

Its settings are those of `PeerEndpoint`. Each command is answered with one line: counts, or an error.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

import grpc.aio

from bench.cluster.limits import raise_soft_limit
from bench.cluster.load import event_loop
from bench.cluster.load.client_tls import ClientTls, ClientTlsContext
from bench.cluster.load.worker_settings import read_settings
from bench.peers import messages
from bench.peers.client import PeerClient, ReceivedMessages
from bench.peers.endpoint import FILE, PeerEndpoint, request_of
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

MAX_CONNECTING = 50  # at once
MAX_EXCHANGING = 25  # large messages at once
TIMEOUT = 30.0  # seconds for one step's messages


class PeerClients:
    """All clients, and what they do."""

    def __init__(self, endpoint: PeerEndpoint, channel: "grpc.aio.Channel | None") -> None:
        self._endpoint = endpoint
        self._received = ReceivedMessages()
        self._clients: list[PeerClient] = []
        self._contexts = {resume: ClientTlsContext(endpoint.ca, resume) for resume in (False, True) if endpoint.ca}
        self._small = messages.small(bool(endpoint.key))
        self._large = messages.large(bool(endpoint.key), endpoint.deflate)
        self._router = router_pb2_grpc.RouterStub(channel) if channel else None  # type: ignore[no-untyped-call]

    async def open(self, count: int, resume: bool = False) -> dict[str, int]:
        """Connect `count` more clients, some of them at once."""
        first, slots = len(self._clients), asyncio.Semaphore(MAX_CONNECTING)
        self._clients += await asyncio.gather(*(self._connect(first + index, resume, slots) for index in range(count)))
        opened = self._clients[first:]
        return {"resumed": sum(one.resumed for one in opened), "deflate": sum(one.deflate for one in opened)}

    async def _connect(self, index: int, resume: bool, slots: asyncio.Semaphore) -> PeerClient:
        endpoint, address = self._endpoint, (self._endpoint.host, self._endpoint.port)
        async with slots:
            tls = ClientTls(self._contexts[resume], address) if self._contexts else None
            request = request_of(endpoint, f"user-{index}")
            loop = asyncio.get_running_loop()
            _, client = await loop.create_connection(
                lambda: PeerClient(request, self._received, endpoint.greetings, tls), *address
            )
            await client.ready
        return client

    async def echo(self, count: int) -> dict[str, int]:
        """Send a small message and wait for the answer, `count` times one after the other."""
        for _ in range(count):
            self._clients[-1].send(self._small)
            await self._received.wait(self._received.count + 1, TIMEOUT)
        return {}

    async def exchange(self) -> dict[str, int]:
        """A large message of each client and one to each, a few clients at once."""
        for batch in _batches(self._clients, MAX_EXCHANGING):
            expected = self._received.count + len(batch)
            await asyncio.gather(*(self._exchange_one(index) for index in batch))
            await self._received.wait(expected, TIMEOUT)
        return {}

    async def _exchange_one(self, index: int) -> None:
        self._clients[index].send(self._large)
        if self._router is not None:
            await self._push(pb.Target(user=f"user-{index}"), messages.LARGE)

    async def deliver(self, count: int) -> dict[str, int]:
        """A message to all clients, `count` times one after the other."""
        for _ in range(count):
            expected = self._received.count + len(self._clients)
            if self._router is None:
                self._clients[0].send(messages.TRIGGER)
            else:
                await self._push(pb.Target(file=FILE), messages.SMALL)
            await self._received.wait(expected, TIMEOUT)
        return {}

    async def _push(self, target: pb.Target, size: int) -> None:
        """A push whose data, a string, has this size."""
        assert self._router is not None
        data = f'"{messages.letters(size - 2)}"'.encode()
        await self._router.Push(pb.PushRequest(target=target, event="peers", data=data, max_deliveries=0))


def _batches(clients: list[PeerClient], size: int) -> Iterator[range]:
    for start in range(0, len(clients), size):
        yield range(start, min(start + size, len(clients)))


async def run(endpoint: PeerEndpoint) -> None:
    """Carry out the commands of stdin."""
    channel = grpc.aio.insecure_channel(endpoint.router) if endpoint.router else None
    clients = PeerClients(endpoint, channel)
    while line := await asyncio.to_thread(sys.stdin.readline):
        arguments: dict[str, Any] = json.loads(line)
        try:
            answer = await getattr(clients, arguments.pop("command"))(**arguments)
        except (OSError, TimeoutError, grpc.aio.AioRpcError) as error:
            answer = {"error": f"{type(error).__name__} {error}".strip()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    raise_soft_limit()
    settings = PeerEndpoint(**read_settings())
    print("{}", flush=True)  # started
    event_loop.run(run(settings))
