"""Whether this node may act now, by its lease and, while that may be over, by what its routers answer.

The rules are `registry.lease_state`'s. This asks the routers when they are needed, and wakes who waits for an answer.
"""

import asyncio
import contextlib
from typing import Protocol

from registry.lease_state import FencingAnswer, LeaseState
from registry.model import Incarnation

ANSWER_LIMIT = 2.5  # seconds; a router's read of a store that does not answer takes 2


class LocalIncarnation(Protocol):
    """This node's own incarnation (`gateway.registration.loop.RegistrationLoop`)."""

    @property
    def incarnation(self) -> Incarnation | None: ...
    def lease_state(self) -> LeaseState: ...
    def unregistered(self) -> bool: ...
    def on_fencing_answer(self, answer: FencingAnswer, queried: float) -> None: ...


class FencingQuerySender(Protocol):
    """The routers that can be asked (`gateway.delivery.router_streams.RouterStreams`)."""

    def query_fencing(self) -> bool:
        """Ask every router whether this node is alive; False when there is none."""
        ...


class LeaseGate:
    """One for a node."""

    def __init__(self, local: LocalIncarnation, routers: FencingQuerySender) -> None:
        self._local = local
        self._routers = routers
        self._answered = asyncio.Event()

    @property
    def incarnation(self) -> Incarnation | None:
        """The current incarnation; None before the first one."""
        return self._local.incarnation

    def unregistered(self) -> bool:
        """Whether routers must scatter to this node."""
        return self._local.unregistered()

    def lease_state(self) -> LeaseState:
        """What the node may do now."""
        return self._local.lease_state()

    def is_held(self) -> bool:
        """Whether this node may certainly act."""
        return self.lease_state() is LeaseState.HELD

    def query_routers(self) -> None:
        """Ask every router whether this node is alive; their answers change `lease_state`."""
        self._routers.query_fencing()

    def on_answer(self, answer: FencingAnswer, queried: float) -> None:
        """A router has answered a query that was sent at `queried`, seconds on the registrar's clock."""
        self._local.on_fencing_answer(answer, queried)
        self._answered.set()

    async def wait_lease_state(self) -> LeaseState:
        """What the node may do now; while its lease may be over, what a router answers, if one does in time."""
        if self._local.lease_state() is LeaseState.LAPSED:
            self._answered.clear()
            if self._routers.query_fencing():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ANSWER_LIMIT):
                        await self._answered.wait()
        return self._local.lease_state()
