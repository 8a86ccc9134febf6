"""The port of the hop, which carries calls to one incarnation of one gateway. The transport is the adapter's."""

from asyncio import Future
from collections.abc import Callable
from typing import NamedTuple, Protocol

from homing.internal.v1 import node_pb2
from registry.model import Incarnation, Node

OnAnswer = Callable[[node_pb2.PushAnswer | None], None]
"""Called with the node's answer to a push, exactly once, on the loop; None: the node did not answer."""


class OutgoingPush(NamedTuple):
    """A push encoded once, for any number of nodes."""

    raw: bytes  # a node_pb2.Push without `call` and `epoch`, which each hop adds
    size: int  # what the push takes in a queue, bytes
    ack_timeout: float  # seconds


class Hop(Protocol):
    """Sends calls to one node, in the order of the method calls, batched while the previous message is being written.

    Every call is answered exactly once: with the node's answer, or with None when the node did not answer (its stream
    is down, or three pings were not answered); then the call may or may not have been carried out. No method waits, so
    a slow node never delays calls to others. The queue is bounded: see `has_room`.
    """

    incarnation: Incarnation

    @property
    def reachable(self) -> bool:
        """Whether calls are sent now. A call on an unreachable hop is answered None at once."""
        ...

    @property
    def unregistered(self) -> bool:
        """Whether the node has reported sessions or files that etcd does not know."""
        ...

    def has_room(self, size: int) -> bool:
        """Whether the queue has room for one more call with `size` bytes of payload."""
        ...

    def push(self, push: OutgoingPush, on_answer: OnAnswer) -> None:
        """Send one push, addressed to this hop's incarnation. `on_answer` may be called before this returns."""
        ...

    def request(self, request: node_pb2.NodeRequest) -> "Future[node_pb2.NodeResponse | None]":
        """Send one request that is no push. The hop sets `call`."""
        ...

    def request_stats(self, enabled: bool) -> None:
        """Request the node's statistics each second, or no longer."""
        ...

    @property
    def stats(self) -> node_pb2.Stats | None:
        """The newest statistics of the node, while they are requested."""
        ...

    def report_batch(self, batch: int) -> None:
        """Report to the node that this router's table holds the node's registration batch `batch`."""
        ...

    async def wait_opened(self) -> None:
        """Until the node has answered the first hello, or the first dial has failed."""
        ...

    async def run(self) -> None:
        """Keep the stream open, for ever: dial, and after a failure dial again with back-off."""
        ...


OnChange = Callable[[Hop], None]
"""Called on the loop when a hop's `reachable`, `unregistered` or `stats` has changed."""

OnHandled = Callable[[Incarnation, node_pb2.Handled], None]
"""Called on the loop with a node's message about pushes that the node has read from the bus (broadcast mode)."""

MakeHop = Callable[[Incarnation, Node, OnChange], Hop]
"""Makes the hop to one incarnation; the hop is idle until `run`."""


def ignore_handled(_incarnation: Incarnation, _handled: node_pb2.Handled) -> None:
    """The `OnHandled` of routed mode, in which no push goes over the bus."""
