"""Clients that come for a moment while a fault lasts: how long a connect takes, and whether a push then finds them."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import websockets

from bench.faults.clients import FaultClient, failure
from bench.faults.load import record_push
from bench.faults.records import CallOutcome, ClientConnected, ClientRefused
from bench.faults.world import World
from homing import Router

Done = TypeVar("Done")

STAY = 0.5  # seconds
NAME = "visitor"  # of the users, with a number


class Visitors:
    """`rate` clients a second, each a user of its own, which gets one push right after it is connected."""

    def __init__(self, world: World, rate: float = 4.0) -> None:
        self._world = world
        self._rate = rate
        self._tasks: set[asyncio.Task[None]] = set()
        self.connects: list[float] = []  # seconds from the request to `hello`
        self.unregistered = 0  # admitted without a commit in the registry
        self.refused = 0
        self.outcomes: list[CallOutcome] = []

    async def run(self) -> None:
        """Until cancelled; those that are connected then leave."""
        async with Router(*self._world.rig.router_addresses) as router:
            try:
                for number in range(1_000_000):
                    task = asyncio.create_task(self._visit(router, number))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                    await asyncio.sleep(1 / self._rate)
            finally:
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _visit(self, router: Router, number: int) -> None:
        rig, user = self._world.rig, f"{NAME}-{number}"
        client = FaultClient(
            -1 - number, user, [], rig.cluster.token(user), rig.addresses, rig.epochs, self._world.history
        )

        async def serve(connection: websockets.ClientConnection, record: ClientConnected) -> None:
            await self._serve(client, router, connection, record)

        node, url = rig.addresses.choose()
        try:
            await client.connect_once(url, time.monotonic(), serve)
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            self.refused += 1
            self._world.history.write(ClientRefused(client.number, node, failure(error), time.monotonic()))

    async def _serve(
        self, client: FaultClient, router: Router, connection: websockets.ClientConnection, record: ClientConnected
    ) -> None:
        self.connects.append(record.t - record.t_request)
        self.unregistered += not record.registered
        receiving = asyncio.create_task(client.receive(connection, record))
        target = "user", client.user
        outcome, _ = await record_push(self._world.history, router, "visitors", target)
        self.outcomes.append(outcome)
        await asyncio.sleep(STAY)
        client.record_ended(record, 1000)
        receiving.cancel()
        with suppress(asyncio.CancelledError):
            await receiving

    @property
    def missed(self) -> list[CallOutcome]:
        """Pushes to connected clients that were not written, and whose report does not show that this may be."""
        return [one for one in self.outcomes if not one.counts.get("WRITTEN") and not one.registry_away]

    def facts(self) -> dict[str, float]:
        """For the experiment's figures."""
        ordered = sorted(self.connects)
        return {
            "visitors": len(ordered),
            "missed": len(self.missed),
            "unregistered": self.unregistered,
            "refused": self.refused,
            "connect_p99": ordered[int(len(ordered) * 0.99)] if ordered else 0.0,
            "connect_max": max(ordered, default=0.0),
        }


async def with_visitors(world: World, work: Awaitable[Done]) -> tuple[Visitors, Done]:
    """Do the work while clients come and leave."""
    visitors = Visitors(world)
    running = asyncio.create_task(visitors.run())
    try:
        return visitors, await work
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
