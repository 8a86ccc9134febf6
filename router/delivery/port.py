"""How a push gets from a router to its receivers: the seam between routed delivery and broadcast."""

from collections.abc import Callable
from typing import Protocol

from homing.v1 import router_pb2
from router.push import CallRefused, CheckedPush

Done = Callable[[router_pb2.PushReport | CallRefused], None]
"""Hears what became of a push, once, on the loop: its report, or that it was refused and nothing was sent."""


class Delivery(Protocol):
    """Carries pushes out. Nothing else in the router knows by which mode (design §5, §6).

    Routed: to the nodes that own the target, by the route table. Broadcast: once, to a bus that every node reads. The
    report means the same in both; `amplification` shows the difference. A node that never said what it did with the
    push is UNREACHABLE: it may or may not have carried it out. So is every node when the bus did not take the push, for
    it cannot be known what a bus that broke in between has passed on.

    Pushes to one target are handed to its nodes in the order of the `start` calls, also when one of them has to wait.
    `received_ns`: when the router got the call, on time.monotonic_ns.
    """

    def start(self, push: CheckedPush, received_ns: int, done: Done) -> None:
        """Deliver one push without waiting; `done` may be called before this returns."""
        ...

    async def push(self, push: CheckedPush, received_ns: int) -> router_pb2.PushReport:
        """Deliver one push and say what became of it. Raises Refused (RESOURCE_EXHAUSTED: a node's queue is full)."""
        ...

    async def close(self) -> None:
        """End what still waits."""
        ...
