"""The living nodes by machine id."""

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from registry.keys import Keys
from registry.memory import MemoryStore
from registry.model import Node
from registry.node_directory import NodeDirectory
from registry.store import Changes, Delete, OnOpen, Put, StoreUnavailable, ignore_open

KEYS = Keys("c")


def value(machine: int) -> bytes:
    return msgspec.json.encode(Node("ws://a", "h:1", "c:2", machine, "v"))


async def until(condition) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


class Interrupted(MemoryStore):
    """Its watch is opened twice, and its first read fails."""

    reads = 0

    async def get_prefix(self, prefix: str, *, keys_only: bool = False, revision: int = 0):  # type: ignore[no-untyped-def]
        self.reads += 1
        if self.reads == 1:
            raise StoreUnavailable("away")
        return await super().get_prefix(prefix, keys_only=keys_only, revision=revision)

    async def watch_prefix(
        self, prefix: str, start: int, on_open: OnOpen = ignore_open
    ) -> AsyncGenerator[Changes, None]:
        if self.reads == 2:
            await on_open()
        async for changes in super().watch_prefix(prefix, start, on_open):
            yield changes


async def test_nodes_come_and_go() -> None:
    store = Interrupted()
    await store.transaction([], [Put(KEYS.node("one"), value(1))])
    directory = NodeDirectory(store, "c")
    running = asyncio.ensure_future(directory.run())
    await until(lambda: directory.find(1) is not None)
    found = directory.find(1)
    assert found is not None
    assert (found.incarnation.node, found.node.node_address) == ("one", "h:1")
    await until(lambda: store.reads == 3)
    await store.transaction([], [Put(KEYS.node("two"), value(2)), Delete(KEYS.node("one"))])
    await until(lambda: directory.find(2) is not None)
    assert directory.find(1) is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.close()
