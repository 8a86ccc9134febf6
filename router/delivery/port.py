"""The port between the API and the two delivery modes: how a push gets from a router to its receivers."""

from collections.abc import Callable
from typing import Protocol

from homing.v1 import router_pb2
from router.push import CallRefused, CheckedPush

OnResult = Callable[[router_pb2.PushReport | CallRefused], None]
"""Called with the result of a push, exactly once, on the loop: its report, or why it was refused (nothing was sent)."""


class PushDelivery(Protocol):
    """Delivers checked pushes. Nothing else in the router depends on the mode.

    Routed: to the nodes that own the target, by the route table. Broadcast: once, to a bus that every node reads. A
    report means the same in both modes; `amplification` shows the difference. A node that did not answer is
    UNREACHABLE: the push may or may not have been written there. In broadcast mode every node is UNREACHABLE when the
    bus did not accept the push, because a bus that fails may have passed a message on.

    Pushes to one target are sent to its nodes in the order of the `start` calls, also when one of them must wait
    (docs/design.md, "Order, healing, deadlines, dedup").
    """

    def start(self, push: CheckedPush, received_ns: int, on_result: OnResult) -> None:
        """Start one push without waiting; `on_result` may be called before this returns.

        `received_ns`: when the router received the push, on time.monotonic_ns. Refused with RESOURCE_EXHAUSTED when a
        queue is full, UNAVAILABLE when the router stops or the bus does not accept the push.
        """
        ...

    async def close(self) -> None:
        """Finish every push that waits: reported if something of it was sent, else refused with UNAVAILABLE."""
        ...
