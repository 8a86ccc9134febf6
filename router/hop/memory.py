"""The hop's in-memory twin: the same contract with no transport, for tests of what is built on it.

The node at its other end is a function of each call. It answers in order, on the loop, unless it is `stalled`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from router.hop.port import Answered, OnChange, OnHandled, Outgoing, ignore_handled

Serve = Callable[[node_pb2.RouterMessage], node_pb2.NodeMessage]


class MemoryHop:
    """A hop to a node that is a function. Tests turn its switches: `up`, `stalled`, `say_unregistered`."""

    def __init__(self, incarnation: Incarnation, serve: Serve, on_change: OnChange, queue: int = 8192) -> None:
        self.incarnation = incarnation
        self.on_handled: OnHandled = ignore_handled
        self.stats: node_pb2.Stats | None = None
        self.holds = 0  # the newest batch that the router said its table holds
        self._serve = serve
        self._on_change = on_change
        self._queue = queue
        self._up = True
        self._stalled = False
        self._unregistered = False
        self._calls = 0
        self._open: dict[int, Callable[[Any], object]] = {}
        self._waiting: list[node_pb2.RouterMessage] = []

    @property
    def reachable(self) -> bool:
        return self._up

    @property
    def unregistered(self) -> bool:
        return self._unregistered

    def room(self, size: int) -> bool:
        return len(self._open) < self._queue

    def push(self, push: Outgoing, answered: Answered) -> None:
        self._calls += 1
        message = node_pb2.Push.FromString(push.raw)
        message.call, message.epoch = self._calls, self.incarnation.epoch
        self._carry(node_pb2.RouterMessage(pushes=[message]), answered)

    def request(self, request: node_pb2.NodeRequest) -> "asyncio.Future[node_pb2.NodeResponse | None]":
        self._calls += 1
        request.call = self._calls
        future: asyncio.Future[node_pb2.NodeResponse | None] = asyncio.get_running_loop().create_future()
        self._carry(node_pb2.RouterMessage(requests=[request]), future.set_result)
        return future

    def send_stats(self, want: bool) -> None:
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
        for answered in open_calls.values():
            answered(None)
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

    def say_handled(self, handled: node_pb2.Handled) -> None:
        """The node says what became of pushes that came to it over the bus."""
        if self._up:
            self.on_handled(self.incarnation, handled)

    def _carry(self, message: node_pb2.RouterMessage, answered: Callable[[Any], object]) -> None:
        if self._up:
            self._open[self._calls] = answered
            asyncio.get_running_loop().call_soon(self._turn, message)
        else:
            answered(None)

    def _turn(self, message: node_pb2.RouterMessage) -> None:
        if self._stalled:
            self._waiting.append(message)
            return
        answers = self._serve(message)
        listed: list[node_pb2.PushAnswer | node_pb2.NodeResponse] = [*answers.pushes, *answers.responses]
        for answer in listed:
            answered = self._open.pop(answer.call, None)
            if answered is not None:
                answered(answer)
