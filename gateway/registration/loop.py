"""A gateway's incarnations in the registry, one after the other.

An incarnation is over when its lease is gone or its batch guard has failed: then everything it registered counts no
more, so its sessions are forgotten at once, their clients are closed, paced, with 1012, and a new incarnation begins
under a new epoch (design §4, "Lapsed": FENCED). The registry is never written by an incarnation that is over: its guard
forbids it.
"""

import asyncio
import logging
from collections.abc import Callable

from gateway.close_codes import DRAINING
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.registering import SessionRegistration
from gateway.sessions.budget import Budget
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from observability.counters import Counters
from registry.lapse import FencingAnswer, LeaseState
from registry.model import Incarnation
from registry.registrar import StoreRegistrar, boottime
from registry.store import LeaseGone, StoreAway

log = logging.getLogger(__name__)

AFTER_MS = 1000  # within which clients of a draining gateway should come back, at a random moment
FIRST_ROUTER = 1.0  # seconds
PACE = 200  # clients closed before others get a turn


class RegistrationLoop:
    """Keeps this node alive in the registry. It is the `LocalIncarnation` of the node port."""

    def __init__(
        self,
        make_registrar: Callable[[], StoreRegistrar],
        index: Index[Session],
        registering: SessionRegistration,
        first: StoreRegistrar,
        reach: RouteAckBarrier,
        counters: Counters,
    ) -> None:
        self._reach = reach
        self._make_registrar = make_registrar
        self._index = index
        self._registering = registering
        self._registrar = first
        self._counters = counters
        self._settling = False  # between two incarnations: nobody may come in
        self._ended = False

    @property
    def incarnation(self) -> Incarnation | None:
        """This node's incarnation now; None before the first has begun."""
        return getattr(self._registrar, "incarnation", None)

    def lease_state(self) -> LeaseState:
        return LeaseState.FENCED if self._settling else self._registrar.lapse.lease_state(boottime())

    def clock(self) -> float:
        return boottime()

    def on_fencing_answer(self, answer: FencingAnswer, asked: float) -> None:
        self._registrar.lapse.answered(answer, asked)

    def unregistered(self) -> bool:
        return self._registrar.unregistered()

    async def run(self) -> None:
        """One incarnation after the other, until `end`. The first one has begun already."""
        while True:
            await self._registrar.run()
            if self._ended:
                return
            self._counters.incarnations_lost += 1
            log.warning("this node was fenced: its lease is gone; clients are closed and a new incarnation begins")
            self._settling = True
            closing = self._forget_all()
            fresh = await self._begin_another()
            self._registrar = self._registering.registrar = fresh
            self._reach.forget_all()
            await wait_linked(self._reach)
            self._settling = False
            log.info("a new incarnation has begun", extra={"epoch": fresh.incarnation.epoch})
            await close_paced(closing)

    async def _begin_another(self) -> StoreRegistrar:
        """Clients are refused until it has begun, however long the registry is away."""
        while True:
            fresh = self._make_registrar()
            try:
                await fresh.begin()
            except (StoreAway, LeaseGone) as error:
                log.warning("no new incarnation yet: %s", error)
            else:
                return fresh

    async def drain(self) -> None:
        """Say in the registry that this node takes no new clients."""
        await self._registrar.drain()

    async def end(self) -> None:
        """Give the incarnation back: node, machine and batch keys go at once, and `run` returns."""
        self._ended = True
        await self._registrar.end()

    def _forget_all(self) -> list[Session]:
        """No push and no client finds these sessions any more."""
        sessions = list(self._index.sessions.values())
        for session in sessions:
            session.gone = True
            self._index.remove(session)
        return sessions


async def wait_linked(reach: RouteAckBarrier) -> None:
    """Until a router's stream is there, at most a second: so that the first clients of an incarnation are reachable."""
    try:
        async with asyncio.timeout(FIRST_ROUTER):
            await reach.wait_linked()
    except TimeoutError:
        log.info("no router has come within %.0f s; going on without", FIRST_ROUTER)


async def close_paced(sessions: list[Session], per_second: float | None = None) -> None:
    """Close clients with 1012, a few at a time, so that they do not all come back in one instant."""
    for start in range(0, len(sessions), PACE):
        for session in sessions[start : start + PACE]:
            session.tell(session.codec.reconnect(AFTER_MS, DRAINING.reason), Budget())
            session.close(DRAINING.code, DRAINING.reason)
        await asyncio.sleep(PACE / per_second if per_second else 0)
