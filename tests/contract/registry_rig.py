"""Registrars, feeds and sweepers of one test, over one kind of store, all stopped at the end of the test."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from registry.feed import StoreRouteFeed
from registry.keys import Keys
from registry.model import Node, SessionInfo
from registry.ports import RegistrySettings
from registry.registrar import StoreRegistrar, ignore_unregistered, wall_ms
from registry.registration import StoreRegistration
from registry.store import Store
from registry.sweeper import OnLost, Sweeper, ignore_lost

INFO = SessionInfo("/", "test", 1_764_000_000_000)


def node(machine: int) -> Node:
    return Node("ws://127.0.0.1:1/ws", "127.0.0.1:2", "127.0.0.1:3", machine, "test")


async def until(true: Callable[[], object], within: float = 5.0) -> None:
    """Wait for a condition that another task makes true."""
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.01)


class RegistryRig:
    """Makes registrars, feeds and sweepers; `store()` is a new connection for each."""

    def __init__(self, make: Callable[[], Store], cluster: str) -> None:
        self.make = make
        self.cluster = cluster
        self.keys = Keys(cluster)
        self.tasks: dict[object, asyncio.Task[Any]] = {}
        self._stores: list[Store] = []

    def settings(self, **more: Any) -> RegistrySettings:
        return RegistrySettings(cluster=self.cluster, **{"ttl": 2, "start_limit": 5.0, "sweep_after": 0.2, **more})

    def store(self) -> Store:
        store = self.make()
        self._stores.append(store)
        return store

    def start(self, part: object, run: Callable[[], Awaitable[None]]) -> None:
        self.tasks[part] = asyncio.ensure_future(run())

    def registrar(
        self,
        name: str,
        store: Store | None = None,
        wall: Callable[[], int] = wall_ms,
        on_unregistered: Callable[[bool], None] = ignore_unregistered,
        **more: Any,
    ) -> StoreRegistrar:
        return StoreRegistrar(store or self.store(), self.settings(**more), name, node, on_unregistered, wall=wall)

    async def member(self, name: str, store: Store | None = None, **more: Any) -> StoreRegistration:
        """A registration that has begun and runs."""
        registration = await self.registrar(name, store, **more).begin()
        self.start(registration, registration.run)
        return registration

    async def feed(self, store: Store | None = None) -> StoreRouteFeed:
        """A feed that runs and has its first snapshot."""
        feed = StoreRouteFeed(store or self.store(), self.settings())
        self.start(feed, feed.run)
        await asyncio.wait_for(feed.wait_synced(), 5)
        return feed

    def sweeper(
        self, name: str, feed: StoreRouteFeed, store: Store | None = None, on_lost: OnLost = ignore_lost
    ) -> Sweeper:
        sweeper = Sweeper(store or self.store(), self.settings(), name, feed.table, on_lost=on_lost)
        self.start(sweeper, sweeper.run)
        return sweeper

    async def stop(self, part: object) -> None:
        """Cancel a part."""
        task = self.tasks.pop(part)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def finished(self, part: object, within: float = 5.0) -> None:
        """Until the part has returned without being cancelled."""
        await asyncio.wait_for(asyncio.shield(self.tasks[part]), within)

    async def close(self) -> None:
        for part in list(self.tasks):
            await self.stop(part)
        for store in self._stores:
            await store.close()
