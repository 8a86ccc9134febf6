"""Shell: the hop's in-memory twin: the same contract without a transport, for tests.

The node is a function from message to answers. It answers in order, on the loop, unless it is stalled.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from router.hop.port import OnAnswer, OnChange, OnHandled, OutgoingPush, ignore_handled

NodeFunction = Callable[[node_pb2.RouterMessage], node_pb2.NodeMessage]


class MemoryHop:
    """A hop to a node that is a function. Tests use the switches at the end."""

    def __init__(
        self,
        incarnation: Incarnation,
        node: NodeFunction,
        on_change: OnChange,
        queue: int = 8192,
        on_handled: OnHandled = ignore_handled,
    ) -> None:
        """`queue`: calls that may be open."""
        self.incarnation = incarnation
        self.stats: node_pb2.Stats | None = None
        self.reported_batch = 0  # the newest batch that the router has reported to the node
        self._node = node
        self._on_change = on_change
        self._on_handled = on_handled
        self._queue = queue
        self._connected = True
        self._stalled = False
        self._unregistered = False
        self._last_call = 0
        self._open: dict[int, Callable[[Any], object]] = {}
        self._unserved: list[node_pb2.RouterMessage] = []

    @property
    def reachable(self) -> bool:
        return self._connected

    @property
    def unregistered(self) -> bool:
        return self._unregistered

    def has_room(self, size: int) -> bool:
        return len(self._open) < self._queue

    def push(self, push: OutgoingPush, on_answer: OnAnswer) -> None:
        self._last_call += 1
        message = node_pb2.Push.FromString(push.raw)
        message.call, message.epoch = self._last_call, self.incarnation.epoch
        self._send(node_pb2.RouterMessage(pushes=[message]), on_answer)

    def request(self, request: node_pb2.NodeRequest) -> "asyncio.Future[node_pb2.NodeResponse | None]":
        self._last_call += 1
        request.call = self._last_call
        future: asyncio.Future[node_pb2.NodeResponse | None] = asyncio.get_running_loop().create_future()
        self._send(node_pb2.RouterMessage(requests=[request]), future.set_result)
        return future

    def request_stats(self, enabled: bool) -> None:
        self.stats = node_pb2.Stats(sessions=1) if enabled else None
        self._on_change(self)

    def report_batch(self, batch: int) -> None:
        self.reported_batch = batch

    async def wait_opened(self) -> None:
        """A function needs no dial."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    # Switches for tests

    def disconnect(self) -> None:
        """The stream breaks: every open call is answered None."""
        self._connected = False
        self._unserved.clear()
        open_calls, self._open = self._open, {}
        for on_answer in open_calls.values():
            on_answer(None)
        self._on_change(self)

    def connect(self) -> None:
        """The stream is open again."""
        self._connected = True
        self._on_change(self)

    def stall(self, stalled: bool) -> None:
        """While stalled, the node serves nothing."""
        self._stalled = stalled
        unserved, self._unserved = self._unserved, []
        for message in unserved:
            self._serve(message)

    def report_unregistered(self, any: bool) -> None:
        """The node reports whether it has sessions that etcd does not know."""
        self._unregistered = any
        self._on_change(self)

    def report_handled(self, handled: node_pb2.Handled) -> None:
        """The node reports on pushes that it has read from the bus."""
        if self._connected:
            self._on_handled(self.incarnation, handled)

    def _send(self, message: node_pb2.RouterMessage, on_answer: Callable[[Any], object]) -> None:
        if self._connected:
            self._open[self._last_call] = on_answer
            asyncio.get_running_loop().call_soon(self._serve, message)
        else:
            on_answer(None)

    def _serve(self, message: node_pb2.RouterMessage) -> None:
        if self._stalled:
            self._unserved.append(message)
            return
        answers = self._node(message)
        listed: list[node_pb2.PushAnswer | node_pb2.NodeResponse] = [*answers.pushes, *answers.responses]
        for answer in listed:
            on_answer = self._open.pop(answer.call, None)
            if on_answer is not None:
                on_answer(answer)
