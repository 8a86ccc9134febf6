"""How a push gets from a router to its receivers: the seam between routed delivery and broadcast."""

from typing import Protocol

from homing.v1 import router_pb2
from router.push import CheckedPush


class Delivery(Protocol):
    """Carries pushes out. Nothing else in the router knows by which mode."""

    async def push(self, push: CheckedPush, received_ns: int) -> router_pb2.PushReport:
        """Deliver one push and say what became of it, session by session.

        `received_ns`: when the router got the call, on time.monotonic_ns. Raises Refused(RESOURCE_EXHAUSTED) when a
        node's queue is full; then nothing was sent.
        """
        ...
