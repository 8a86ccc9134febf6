"""Whether this gateway takes clients, and what it lacks (docs/design.md, "Ready")."""

from collections.abc import Callable, Iterable

from gateway.admission import Admission
from gateway.back_pressure import EventBackPressure
from gateway.registration.lease_gate import LeaseGate
from registry.lease_state import LeaseState
from runtime.process.readiness import Readiness, named

LEASE_OVER = "its lease in the registry may be over, and no router can say: clients are answered 503"


class GatewayReadiness:
    """Looks at the same state as `Admission.check`, so `/readyz` says what a client would be answered."""

    def __init__(
        self,
        admission: Admission,
        lease: LeaseGate,
        events: EventBackPressure,
        routers: Iterable[object],
        why_store_away: Callable[[], str],
        why_bus_away: Callable[[], list[str]],
    ) -> None:
        """`routers`: their open streams."""
        self._admission = admission
        self._lease = lease
        self._events = events
        self._routers = routers
        self._why_store_away = why_store_away
        self._why_bus_away = why_bus_away

    async def check(self) -> Readiness:
        """Takes up to 2.5 s while the registry is away, since the routers are asked."""
        if not self._admission.is_open:
            return Readiness(["it takes no clients: it is starting, or draining"], self._degraded())
        lapsed = await self._lease.wait_lease_state() in (LeaseState.LAPSED, LeaseState.FENCED)
        full = "the buffer of client events is full: clients are answered 503" if self._events.full() else ""
        return Readiness(named(LEASE_OVER if lapsed else "", full), self._degraded())

    def _degraded(self) -> list[str]:
        no_router = "" if any(True for _ in self._routers) else "no router has opened a stream: no push arrives"
        waiting = "sessions wait for the registry: routers send every push here" if self._lease.unregistered() else ""
        return named(no_router, self._why_store_away(), waiting, *self._why_bus_away())
