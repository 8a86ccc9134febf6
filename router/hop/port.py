"""One stream to one incarnation of one gateway: the contract of the hop. The transport behind it is a decision of its
own.
"""

from asyncio import Future
from collections.abc import Callable
from typing import NamedTuple, Protocol

from homing.internal.v1 import node_pb2
from registry.model import Incarnation, Node

Answered = Callable[[node_pb2.PushAnswer | None], None]
"""Hears a push's answer, once, on the loop; None: the node did not answer."""


class Outgoing(NamedTuple):
    """A push as it goes to any number of nodes: made into bytes once, whatever the number."""

    raw: bytes  # a node_pb2.Push without `call` and `epoch`, which each hop adds
    size: int  # what it takes in a queue, bytes
    ack_timeout: float  # seconds


class Hop(Protocol):
    """Carries calls to one node, batched by what has gathered, in the order in which they were handed over.

    Every call is answered exactly once: with the node's answer, or with None when the node did not answer (the stream
    is down, or silent for a second) and it may or may not have been carried out. Nothing here waits, so one slow node
    never delays what goes to another; the queue is bounded and `room` tells.
    """

    incarnation: Incarnation
    on_handled: "OnHandled"

    @property
    def reachable(self) -> bool:
        """Whether calls are carried now. A call on an unreachable hop is answered None at once."""
        ...

    @property
    def unregistered(self) -> bool:
        """Whether the node says that it holds sessions or files which etcd does not know."""
        ...

    def room(self, size: int) -> bool:
        """Whether a call with `size` bytes of payload fits into the queue now."""
        ...

    def push(self, push: Outgoing, answered: Answered) -> None:
        """Hand over one push, for this hop's incarnation. `answered` may be called before this returns."""
        ...

    def request(self, request: node_pb2.NodeRequest) -> "Future[node_pb2.NodeResponse | None]":
        """Hand over one question that is no push. `call` is set by the hop."""
        ...

    def send_stats(self, want: bool) -> None:
        """Whether the node should say its counters each second."""
        ...

    @property
    def stats(self) -> node_pb2.Stats | None:
        """What the node counted last, while wanted."""
        ...

    def table_holds(self, batch: int) -> None:
        """Tell the node that this router's table holds its batch `batch`."""
        ...

    async def wait_opened(self) -> None:
        """Until the node has answered the first dial, or that dial has failed."""
        ...

    async def run(self) -> None:
        """Keep the stream, for ever: dial, and dial again with a back-off when it breaks."""
        ...


def ignore_handled(_incarnation: Incarnation, _handled: node_pb2.Handled) -> None:
    """Pushes do not go over the bus."""


OnChange = Callable[[Hop], None]
"""Hears, on the loop, when a hop's `reachable`, `unregistered` or `stats` has changed."""

OnHandled = Callable[[Incarnation, node_pb2.Handled], None]
"""Hears, on the loop, what a node says about pushes that came to it over the bus (broadcast mode)."""

MakeHop = Callable[[Incarnation, Node, OnChange], Hop]
"""Makes the hop to one incarnation; it is idle until `run`."""
