"""Who may come in: the last checks before a client becomes a session, and its registration.

Request heads, origins, tokens and grants were judged by the listener (`gateway.door`). This decides by the state of the
node, gives the session its id, and waits until it is registered and reachable.
"""

import time
from collections.abc import Sequence

from gateway.back_pressure import EventBackPressure
from gateway.door.values import Arrival, Refusal
from gateway.events.traces import ClientTraces
from gateway.identity.identity import Identity
from gateway.lifecycle import SessionLifecycle
from gateway.registration.lease_gate import LeaseGate
from gateway.registration.session_registration import SessionRegistration
from gateway.sessions.session import Session
from gateway.sessions.stage import Stage
from observability.counters import Counters
from registry.ids import IdsExhausted
from registry.lease_state import LeaseState


class Admission:
    """Admits clients while it is open."""

    def __init__(
        self,
        registration: SessionRegistration,
        lease: LeaseGate,
        events: EventBackPressure,
        lifecycle: SessionLifecycle,
        traces: ClientTraces,
        max_files: int,
        counters: Counters,
    ) -> None:
        self._open = False
        self._registration = registration
        self._lease = lease
        self._events = events
        self._lifecycle = lifecycle
        self._traces = traces
        self._max_files = max_files
        self._counters = counters

    @property
    def is_open(self) -> bool:
        """Whether clients may come: not while this node starts or drains."""
        return self._open

    def open(self) -> None:
        """Admit clients from now on."""
        self._open = True

    def close(self) -> None:
        """Admit nobody any more."""
        self._open = False

    async def check(self, files: int) -> Refusal | None:
        """Why a client with so many files may not come in now; None: it may."""
        if not self._open:
            return self._refuse("this gateway takes no new clients now; connect again")
        if self._events.full():
            return self._refuse("client events cannot be taken now; connect again", "busy")
        if files > self._max_files:
            self._counters.connections_refused += 1
            return Refusal(403, "forbidden", f"at most {self._max_files} files at once")
        if await self._lease.wait_lease_state() in (LeaseState.LAPSED, LeaseState.FENCED):
            return self._refuse("this gateway may have lost its place in the registry; connect again")
        return None

    async def admit(self, arrival: Arrival, identity: Identity, files: Sequence[str]) -> Session | Refusal:
        """A session that is registered and reachable, REGISTERING until a connection is attached; or why not."""
        incarnation = self._registration.current
        now_ms = time.time_ns() // 1_000_000
        try:
            sid = incarnation.id_generator.next_id(now_ms)
        except IdsExhausted:
            why = "etcd does not take reservations (away, or full), or its clock is far ahead"
            return self._refuse(f"this gateway cannot make new ids: {why}; connect again")
        session = Session(sid, identity, arrival.codec, now_ms, arrival.traceparent)
        connected = self._traces.begin_connect(session)
        try:
            await self._registration.register(session, files)
            # The process may have been stopped past its lease meanwhile, and pushes are held for the session.
            lease = await self._lease.wait_lease_state()
        except BaseException:
            self._lifecycle.end(session, None, 1006, "")
            raise
        over = incarnation.lease.fenced or self._registration.current is not incarnation
        over = over or lease in (LeaseState.LAPSED, LeaseState.FENCED)
        if session.stage is Stage.CLOSED or over:
            self._lifecycle.end(session, None, 1006, "")
            return self._refuse("this gateway has just lost its place in the registry; connect again")
        if not self._open:  # it was closed meanwhile: a drain waits for those that are in, and asks them to reconnect
            self._lifecycle.end(session, None, 1006, "")
            return self._refuse("this gateway takes no new clients now; connect again")
        if connected is not None:
            connected()
        return session

    async def claim(self, session: Session, files: Sequence[str]) -> bool:
        """Register a session that was another node's and is connected here. False: this node may not keep it."""
        incarnation = self._registration.current
        await self._registration.register(session, files)
        lease = await self._lease.wait_lease_state()
        over = incarnation.lease.fenced or self._registration.current is not incarnation
        return self._open and not over and lease not in (LeaseState.LAPSED, LeaseState.FENCED)

    def _refuse(self, message: str, code: str = "unavailable") -> Refusal:
        self._counters.connections_refused += 1
        return Refusal(503, code, message, (("Retry-After", "1"),))
