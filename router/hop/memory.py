"""The hop's in-memory twin: the same contract with no transport, for tests of what is built on it.

The node at its other end is a function of each call. It answers in order, on the loop, unless it is `stalled`.
"""

import asyncio
from collections.abc import Callable

from homing.internal.v1 import node_pb2
from registry.model import Life
from router.hop.port import OnChange

Serve = Callable[[node_pb2.RouterMessage], node_pb2.NodeMessage]


class MemoryHop:
    """A hop to a node that is a function. Tests turn its switches: `up`, `stalled`, `say_unregistered`."""

    def __init__(self, life: Life, serve: Serve, on_change: OnChange, queue: int = 8192) -> None:
        self.life = life
        self.stats: node_pb2.Stats | None = None
        self.holds = 0  # the newest batch that the router said its table holds
        self._serve = serve
        self._on_change = on_change
        self._queue = queue
        self._up = True
        self._stalled = False
        self._unregistered = False
        self._calls = 0
        self._open: dict[int, asyncio.Future[node_pb2.PushAnswer | node_pb2.AskAnswer | None]] = {}
        self._waiting: list[node_pb2.RouterMessage] = []

    @property
    def reachable(self) -> bool:
        return self._up

    @property
    def unregistered(self) -> bool:
        return self._unregistered

    def room(self, size: int) -> bool:
        return len(self._open) < self._queue

    def push(self, push: node_pb2.Push) -> "asyncio.Future[node_pb2.PushAnswer | None]":
        self._calls += 1
        push.call = self._calls
        return self._carry(node_pb2.RouterMessage(pushes=[push]))  # type: ignore[return-value]

    def ask(self, ask: node_pb2.Ask) -> "asyncio.Future[node_pb2.AskAnswer | None]":
        self._calls += 1
        ask.call = self._calls
        return self._carry(node_pb2.RouterMessage(asks=[ask]))  # type: ignore[return-value]

    def want_stats(self, want: bool) -> None:
        self.stats = node_pb2.Stats(sessions=1) if want else None
        self._on_change(self)

    def table_holds(self, batch: int) -> None:
        self.holds = batch

    async def wait_opened(self) -> None:
        """A function is always there."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    # The switches ---------------------------------------------------------------------------------------------------

    def go_down(self) -> None:
        """The stream breaks: everything open is answered None."""
        self._up = False
        self._waiting.clear()
        open_calls, self._open = self._open, {}
        for future in open_calls.values():
            future.set_result(None)
        self._on_change(self)

    def come_up(self) -> None:
        """The stream is there again."""
        self._up = True
        self._on_change(self)

    def stall(self, stalled: bool) -> None:
        """While stalled, calls gather and nothing is answered."""
        self._stalled = stalled
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._turn(message)

    def say_unregistered(self, any: bool) -> None:
        """The node says that etcd does not know all of its sessions."""
        self._unregistered = any
        self._on_change(self)

    def _carry(
        self, message: node_pb2.RouterMessage
    ) -> "asyncio.Future[node_pb2.PushAnswer | node_pb2.AskAnswer | None]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[node_pb2.PushAnswer | node_pb2.AskAnswer | None] = loop.create_future()
        if self._up:
            self._open[self._calls] = future
            loop.call_soon(self._turn, message)
        else:
            future.set_result(None)
        return future

    def _turn(self, message: node_pb2.RouterMessage) -> None:
        if self._stalled:
            self._waiting.append(message)
            return
        answers = self._serve(message)
        listed: list[node_pb2.PushAnswer | node_pb2.AskAnswer] = [*answers.pushes, *answers.asks]
        for answer in listed:
            future = self._open.pop(answer.call, None)
            if future is not None and not future.done():
                future.set_result(answer)
