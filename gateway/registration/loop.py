"""One incarnation of this gateway after the other.

An incarnation is over when its lease is gone or its batch guard has failed. Everything it registered counts no more,
nothing is written, and its guard forbids it to write to the registry. A node that was not paused tries for a few
seconds to begin a new incarnation with its sessions, which are registered anew under the new epoch. Otherwise, and when
it was paused, so that others may have moved on, its sessions are closed at once and their clients are disconnected,
paced, with 1012 (docs/design.md, "Dead, paused, cut off").
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from gateway.registration.barrier import RouteAckBarrier
from gateway.sessions.index import Index
from gateway.sessions.pacing import request_reconnects
from gateway.sessions.session import Session, SessionConnection
from observability.counters import Counters
from registry.lease_state import FencingAnswer, LeaseState
from registry.membership import FencedError
from registry.model import Incarnation, SessionInfo
from registry.ports import Registrar, Registration, RegistryError
from registry.registrar import boottime
from registry.store import LeaseNotFound, StoreUnavailable
from runtime.process.background_tasks import BackgroundTasks
from runtime.process.pauses import Pauses

log = logging.getLogger(__name__)

FIRST_ROUTER = 1.0  # seconds to wait for a router's stream in a new incarnation
KEEP_LIMIT = 5.0  # seconds to try for a new incarnation before the clients of the last one are closed
KEEP_LEAST = 2.0  # seconds of these, for a node that was cut off from a store which others could read already before
CLOSES = 2000.0  # a second, of the clients of an incarnation that is over
SLICE = 500  # sessions registered anew before other work gets a turn


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
        pauses: Pauses,
        clock: Callable[[], float] = boottime,
    ) -> None:
        """`clock`: seconds, the registrar's own clock, and that of `pauses`."""
        self._registrar = registrar
        self._index = index
        self._barrier = barrier
        self._counters = counters
        self._pauses = pauses
        self._clock = clock
        self._tasks = BackgroundTasks()  # close the clients of incarnations that are over, register kept ones anew
        self._replacement: asyncio.Task[None] | None = None  # begins the next incarnation
        self._restoring: asyncio.Task[None] | None = None  # registers the kept sessions
        self._registration: Registration | None = None
        self._replacing = False  # between two incarnations: nobody is admitted
        self._replaced = asyncio.Event()  # set at the end of each replacement
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
        try:
            self._registration = await self._registrar.begin()
        except (FencedError, LeaseNotFound) as error:  # the process was stopped meanwhile, past its first lease
            log.info("the first incarnation was over before it had begun: %s", error)
            self._registration = await self._registrar.begin()
        return self._registration

    async def run(self) -> None:
        """Keep the current incarnation, and begin the next one when it is over, until `end`."""
        while True:
            await self.registration.run()
            await self._stop_restoring()
            if self._ended:
                await self._tasks.close()
                return
            self._counters.incarnations_lost += 1
            self._replacing = True
            self._replacement = asyncio.get_running_loop().create_task(self._replace())
            try:
                await asyncio.wait([self._replacement])
            finally:
                self._replacement.cancel()  # unless it is done
            if not self._ended:
                self._replacement.result()

    async def _replace(self) -> None:
        """Begin the next incarnation, with the sessions of the last one or without. Cancelled by `end`."""
        kept = await self._begin_with_sessions()
        fresh = self._registration = kept or await self._begin_without_sessions()
        self._barrier.forget_all()
        if kept is not None:
            self._restoring = self._tasks.start(self._restore(kept))
        await self.wait_linked()
        self._replacing = False
        self._replaced.set()
        log.info("a new incarnation has begun", extra={"epoch": fresh.incarnation.epoch})

    async def wait_linked(self) -> None:
        """Until a router's stream is there, at most a second: so that the first clients are reachable."""
        try:
            async with asyncio.timeout(FIRST_ROUTER):
                await self._barrier.wait_linked()
        except TimeoutError:
            log.info("no router has come within %.0f s; going on without", FIRST_ROUTER)

    async def wait_replaced(self) -> None:
        """While the last incarnation is over: until routers reach the sessions of the next one, or for some seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_LIMIT + FIRST_ROUTER):
                while self.lease_state() is LeaseState.FENCED and not self._ended:
                    self._replaced.clear()
                    await self._replaced.wait()

    async def drain(self) -> None:
        """Mark this node as draining in the registry."""
        await self.registration.drain()

    async def end(self) -> None:
        """Give the incarnation back: node, machine and batch keys go at once, and `run` returns."""
        self._ended = True
        self._replaced.set()
        if self._replacement is not None:
            self._replacement.cancel()
            await asyncio.wait([self._replacement])
        await self.registration.end()

    async def _begin_with_sessions(self) -> Registration | None:
        """The next incarnation, which keeps the sessions. None: it does not begin in time, or this node was paused."""
        over = self.registration
        if self._pauses.paused_since(over.lease.confirmed):
            log.warning("this node was paused, and its lease is gone: clients are closed")
            return None
        log.warning("this node was fenced: its lease is gone; it tries for a new one and keeps its clients")
        limit = min(KEEP_LIMIT, max(KEEP_LEAST, KEEP_LIMIT - over.lease.cut_off(self._clock())))
        try:
            async with asyncio.timeout(limit):
                return await self._registrar.begin_again(over.machine)
        except (TimeoutError, StoreUnavailable, LeaseNotFound, FencedError, RegistryError) as error:
            log.warning("no new incarnation in %.0f s, clients are closed: %s", limit, str(error) or "no answer")
            return None

    async def _begin_without_sessions(self) -> Registration:
        """The next incarnation. Clients are closed now, not when it has begun: until then no push reaches them."""
        self._tasks.start(request_reconnects(self._close_all(), CLOSES, close=True))
        return await self._begin_another()

    async def _restore(self, fresh: Registration) -> None:
        """Register the kept sessions and files anew. Until every router has them, routers scatter to this node."""
        commits: list[asyncio.Future[int]] = []
        for number, session in enumerate(list(self._index.sessions.values())):
            if session.sid in self._index.sessions:
                info = SessionInfo(session.codec.namespace, session.identity.auth_type, session.connected_at)
                commits.append(fresh.register_session(session.user, session.sid, info))
                commits.extend(fresh.register_file(file) for file in session.files)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        batches = await asyncio.gather(*commits, return_exceptions=True)  # some may have left meanwhile
        newest = max((batch for batch in batches if isinstance(batch, int)), default=0)
        while not await self._barrier.wait_reachable(newest):
            log.debug("a router does not have all kept sessions yet; routers scatter to this node")
        fresh.set_restored()

    async def _stop_restoring(self) -> None:
        if self._restoring is not None:
            self._restoring.cancel()
            await asyncio.gather(self._restoring, return_exceptions=True)
            self._restoring = None

    async def _begin_another(self) -> Registration:
        """The next incarnation, however long the registry is away."""
        while True:
            try:
                return await self._registrar.begin()
            except (StoreUnavailable, LeaseNotFound, FencedError) as error:
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
