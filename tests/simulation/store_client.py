"""A process's client of the store: the store port over the simulated network (what `registry.etcd` is in production).

The store is the in-memory twin, in a process of its own. A request or its answer may be delayed past the deadline; then
the caller has StoreUnavailable, and the request may still be applied later.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from registry.memory import MemoryStore
from registry.store import (
    Changes,
    Compacted,
    Compare,
    Entry,
    OnOpen,
    Operation,
    Snapshot,
    StoreError,
    StoreUnavailable,
    TransactionResult,
    ignore_open,
)
from tests.simulation.loop import ProcessLoop
from tests.simulation.network import Network

_T = TypeVar("_T")
DEADLINE = 2.0  # seconds, of each call
REOPEN = 0.05  # seconds before a broken watch is opened again
WATCH = ".watch"  # the store's watch traffic to a process has a link of its own: <store>.watch to <process>


class StoreServer:
    """The store's process."""

    def __init__(self, network: Network, store: MemoryStore, loop: ProcessLoop) -> None:
        self.network = network
        self.store = store
        self.loop = loop

    def renew_leases(self) -> None:
        """A new leader has been elected: it gives every lease its whole TTL, as etcd's does."""
        for lease in self.store._leases.values():
            lease.deadline = max(lease.deadline, self.loop.time() + lease.ttl)


class _Watch:
    """One open watch, at both ends."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Changes | StoreError | None] = asyncio.Queue()  # None: it broke
        self.task: asyncio.Task[None] | None = None  # the store's
        self.broken = False

    def put(self, item: Changes | StoreError) -> None:
        if not self.broken:
            self.arrived.put_nowait(item)


class StoreClient:
    """A `registry.store.Store`."""

    def __init__(self, server: StoreServer, loop: ProcessLoop) -> None:
        network = server.network
        self._server = server
        self._loop = loop
        self._requests = network.pipe(loop.name, server.loop, ordered=False)
        self._answers = network.pipe(server.loop.name, loop, ordered=False)
        self._watch_pipe_source = server.loop.name + WATCH
        self._watches: list[_Watch] = []

    def why_away(self) -> str:
        return ""

    async def get(self, key: str) -> Entry | None:
        return await self._call(lambda store: store.get(key))

    async def get_prefix(self, prefix: str, *, keys_only: bool = False, revision: int = 0) -> Snapshot:
        return await self._call(lambda store: store.get_prefix(prefix, keys_only=keys_only, revision=revision))

    async def read_pages(self, prefix: str) -> AsyncGenerator[Snapshot, None]:
        yield await self.get_prefix(prefix)

    async def revision(self) -> int:
        return await self._call(lambda store: store.revision())

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        return await self._call(lambda store: store.transaction(compare, success, failure))

    async def grant(self, ttl: int) -> int:
        return await self._call(lambda store: store.grant(ttl))

    async def revoke(self, lease: int) -> None:
        await self._call(lambda store: store.revoke(lease))

    async def keep_alive(self, lease: int) -> None:
        await self._call(lambda store: store.keep_alive(lease))

    async def close(self) -> None:
        """There is no connection to close."""

    async def watch_prefix(
        self, prefix: str, start: int, on_open: OnOpen = ignore_open
    ) -> AsyncGenerator[Changes, None]:
        while True:
            watch = _Watch()
            self._watches.append(watch)
            try:
                self._requests.send(self._open_watch, watch, prefix, start)
                opened = await _opens(on_open)
                while opened and (item := await watch.arrived.get()) is not None:
                    if isinstance(item, StoreError):
                        raise item
                    start = item.revision + 1
                    yield item
            finally:
                self._watches.remove(watch)
                self._requests.send(_end_watch, watch)
            await asyncio.sleep(REOPEN)

    def break_watches(self, lost: bool = False) -> None:
        """Every open watch breaks. `lost`: with an error for its user, else it is opened again inside."""
        for watch in self._watches:
            watch.broken = True
            watch.arrived.put_nowait(StoreUnavailable("the watch is lost") if lost else None)

    # Inside

    async def _call(self, operation: Callable[[MemoryStore], Coroutine[Any, Any, _T]]) -> _T:
        answer: asyncio.Future[_T] = self._loop.create_future()
        self._requests.send(self._carry_out, operation, answer)
        deadline = self._loop.call_later(DEADLINE, _resolve, answer, None, StoreUnavailable("the store is away"))
        try:
            return await answer
        finally:
            deadline.cancel()

    def _carry_out(self, operation: Callable[[MemoryStore], Coroutine[Any, Any, Any]], answer: Any) -> None:
        """In the store's process. The twin's operations never wait."""
        result, error = None, None
        try:
            operation(self._server.store).send(None)
        except StopIteration as done:
            result = done.value
        except StoreError as raised:
            error = raised
        self._answers.send(_resolve, answer, result, error)

    def _open_watch(self, watch: _Watch, prefix: str, start: int) -> None:
        watch.task = self._server.loop.create_task(self._serve_watch(watch, prefix, start))

    async def _serve_watch(self, watch: _Watch, prefix: str, start: int) -> None:
        pipe = self._server.network.pipe(self._watch_pipe_source, self._loop)
        try:
            async for changes in self._server.store.watch_prefix(prefix, start):
                pipe.send(watch.put, changes)
        except Compacted as error:
            pipe.send(watch.put, error)


async def _opens(on_open: OnOpen) -> bool:
    try:
        await on_open()
    except StoreUnavailable:
        return False
    return True


def _end_watch(watch: _Watch) -> None:
    if watch.task is not None:
        watch.task.cancel()


def _resolve(answer: "asyncio.Future[Any]", result: object, error: StoreError | None) -> None:
    if answer.done():  # too late, or the caller was cancelled
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)
