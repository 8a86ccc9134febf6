"""One incarnation of this gateway after the other.

An incarnation is over when its lease is gone or its batch guard has failed. Everything it registered counts no more:
its sessions are closed at once, their clients are disconnected, paced, with 1012, and a new incarnation begins under a
new epoch (docs/design.md, "Dead, paused, cut off"). An incarnation that is over never writes to the registry: its guard
forbids it.
"""

import asyncio
import logging
from collections.abc import Callable

from gateway.registration.barrier import RouteAckBarrier
from gateway.sessions.index import Index
from gateway.sessions.pacing import close_paced
from gateway.sessions.session import Session, SessionConnection
from observability.counters import Counters
from registry.lease_state import FencingAnswer, LeaseState
from registry.model import Incarnation
from registry.ports import Registrar, Registration
from registry.registrar import boottime
from registry.store import LeaseNotFound, StoreUnavailable

log = logging.getLogger(__name__)

FIRST_ROUTER = 1.0  # seconds to wait for a router's stream in a new incarnation


class NotRegistered(Exception):
    """This gateway has no incarnation yet: `start` has not returned."""


class RegistrationLoop:
    """Owns the current registration, and replaces it when it is over."""

    def __init__(
        self,
        registrar: Registrar,
        index: Index[Session],
        barrier: RouteAckBarrier,
        counters: Counters,
        clock: Callable[[], float] = boottime,
    ) -> None:
        """`clock`: seconds, the registrar's own clock."""
        self._registrar = registrar
        self._index = index
        self._barrier = barrier
        self._counters = counters
        self._clock = clock
        self._registration: Registration | None = None
        self._replacing = False  # between two incarnations: nobody is admitted
        self._ended = False

    # What the node may do now ---------------------------------------------------------------------------------------

    @property
    def registration(self) -> Registration:
        """The current incarnation's registration. Raises NotRegistered before `start` has returned."""
        if self._registration is None:
            raise NotRegistered("this gateway has not begun its first incarnation")
        return self._registration

    @property
    def incarnation(self) -> Incarnation | None:
        """The current incarnation; None before the first one."""
        return self._registration.incarnation if self._registration is not None else None

    def lease_state(self) -> LeaseState:
        """What this node may do now. FENCED before the first incarnation and between two."""
        if self._replacing or self._registration is None:
            return LeaseState.FENCED
        return self._registration.lease.state(self._clock())

    def on_fencing_answer(self, answer: FencingAnswer, queried: float) -> None:
        """A router has answered a fencing query that was sent at `queried`."""
        self.registration.lease.on_fencing_answer(answer, queried)

    def unregistered(self) -> bool:
        """Whether sessions or files have waited for the registry for too long: routers must scatter here."""
        return self._registration is not None and self._registration.unregistered()

    # The loop -------------------------------------------------------------------------------------------------------

    async def start(self) -> Registration:
        """Begin the first incarnation. Raises StoreError and RegistryError, as `Registrar.begin`."""
        self._registration = await self._registrar.begin()
        return self._registration

    async def run(self) -> None:
        """Keep the current incarnation, and begin the next one when it is over, until `end`."""
        while True:
            await self.registration.run()
            if self._ended:
                return
            self._counters.incarnations_lost += 1
            log.warning("this node was fenced: its lease is gone; clients are closed and a new incarnation begins")
            self._replacing = True
            connections = self._close_all()
            fresh = self._registration = await self._begin_another()
            self._barrier.forget_all()
            await self.wait_linked()
            self._replacing = False
            log.info("a new incarnation has begun", extra={"epoch": fresh.incarnation.epoch})
            await close_paced(connections)

    async def wait_linked(self) -> None:
        """Until a router's stream is there, at most a second: so that the first clients are reachable."""
        try:
            async with asyncio.timeout(FIRST_ROUTER):
                await self._barrier.wait_linked()
        except TimeoutError:
            log.info("no router has come within %.0f s; going on without", FIRST_ROUTER)

    async def drain(self) -> None:
        """Mark this node as draining in the registry."""
        await self.registration.drain()

    async def end(self) -> None:
        """Give the incarnation back: node, machine and batch keys go at once, and `run` returns."""
        self._ended = True
        await self.registration.end()

    async def _begin_another(self) -> Registration:
        """The next incarnation, however long the registry is away."""
        while True:
            try:
                return await self._registrar.begin()
            except (StoreUnavailable, LeaseNotFound) as error:
                log.info("no new incarnation yet: %s", error)

    def _close_all(self) -> list[SessionConnection]:
        """Close every session: no push and no client finds one any more. The answer: the connections they had."""
        connections: dict[SessionConnection, None] = {}
        for session in list(self._index.sessions.values()):
            if session.connection is not None:
                connections[session.connection] = None
            self._index.remove(session)
            session.close()
        return list(connections)
