"""Whether this router takes calls, and what it lacks (docs/design.md, "Ready")."""

from collections.abc import Callable

from registry.routes import RouteTable
from router.hop.fleet import Fleet
from runtime.process.readiness import Readiness, named

NODES_NAMED = 5


class RouterReadiness:
    """Ready from `set_ready` on, whatever goes away later: an answer that says so is better than no router."""

    def __init__(
        self,
        table: RouteTable,
        fleet: Fleet,
        why_store_away: Callable[[], str],
        why_bus_away: Callable[[], list[str]],
    ) -> None:
        self._table = table
        self._fleet = fleet
        self._why_store_away = why_store_away
        self._why_bus_away = why_bus_away
        self._ready = False

    def set_ready(self, ready: bool) -> None:
        """Whether the table is complete, and the router does not stop."""
        self._ready = ready

    async def check(self) -> Readiness:
        """The answer of `/readyz`."""
        missing = "" if self._ready else "its routes are not complete yet, or it stops"
        return Readiness(named(missing), named(self._why_store_away(), self._nodes(), *self._why_bus_away()))

    def _nodes(self) -> str:
        nodes = sorted(str(incarnation) for incarnation in self._table.incarnations())
        if not nodes:
            return "no gateway is registered: every push is OFFLINE"
        hops = {str(one): self._fleet.hop(one) for one in self._table.incarnations()}
        away = [node for node in nodes if (hop := hops[node]) is None or not hop.reachable]
        if not away:
            return ""
        more = f" and {len(away) - NODES_NAMED} more" if len(away) > NODES_NAMED else ""
        return f"{len(away)} of {len(nodes)} gateways do not answer: {', '.join(away[:NODES_NAMED])}{more}"
