"""Whether this router takes calls, and what it lacks (docs/design.md, "Ready")."""

from collections.abc import Callable

from registry.ports import RouteFeed
from router.hop.fleet import Fleet
from runtime.process.readiness import Readiness, named

NODES_NAMED = 5
MAX_BEHIND = 5.0  # seconds


class RouterReadiness:
    """Ready from `set_ready` on, whatever goes away later: an answer that says so is better than no router. Unless etcd
    answers and this router's table does not follow: another router's may."""

    def __init__(
        self,
        feed: RouteFeed,
        fleet: Fleet,
        why_store_away: Callable[[], str],
        why_bus_away: Callable[[], list[str]],
    ) -> None:
        self._feed = feed
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
        behind = self._feed.behind_for()
        old = f"its routes are {behind:.0f} s behind etcd, which answers" if behind > MAX_BEHIND else ""
        return Readiness(named(missing, old), named(self._why_store_away(), self._nodes(), *self._why_bus_away()))

    def _nodes(self) -> str:
        nodes = sorted(str(incarnation) for incarnation in self._feed.table.incarnations())
        if not nodes:
            return "no gateway is registered: every push is OFFLINE"
        hops = {str(one): self._fleet.hop(one) for one in self._feed.table.incarnations()}
        away = [node for node in nodes if (hop := hops[node]) is None or not hop.reachable]
        if not away:
            return ""
        more = f" and {len(away) - NODES_NAMED} more" if len(away) > NODES_NAMED else ""
        return f"{len(away)} of {len(nodes)} gateways do not answer: {', '.join(away[:NODES_NAMED])}{more}"
