"""Shell: Locate, the dry run of a push (docs/api.md, "Locate")."""

from homing.v1 import router_pb2
from registry.ports import RouteFeed
from router.delivery.plan import Leg, Plan, is_miss, plan
from router.hop.fleet import Fleet
from router.push import Target, check_target

Source = router_pb2.Route.Source


class LocateCalls:
    """Answers Locate from the route table, by the rules of the delivery mode."""

    def __init__(self, feed: RouteFeed, fleet: Fleet, broadcasts: bool) -> None:
        """`broadcasts`: whether pushes go to every node over the bus."""
        self._feed = feed
        self._fleet = fleet
        self._broadcasts = broadcasts

    async def answer(self, request: router_pb2.LocateRequest) -> router_pb2.LocateResponse:
        """The nodes that a push to this target would go to. CallRefused: no such target."""
        target = check_target(request.target)
        source, caught_up = router_pb2.Route.TABLE, True
        legs = self._plan(target)
        if is_miss(legs):
            source, caught_up = router_pb2.Route.TABLE_AFTER_READ, await self._feed.wait_caught_up()
            legs = self._plan(target)
        response = router_pb2.LocateResponse(registry_away=not caught_up, why=_why(target, legs, caught_up))
        for leg in self._all_nodes(legs) if self._broadcasts else legs.values():
            _add_route(response, target, leg, source)
        if self._broadcasts:
            for route in response.routes:
                route.source = router_pb2.Route.BROADCAST
        return response

    def _plan(self, target: Target) -> Plan:
        return plan(target, self._feed.table, self._fleet.scattering())

    def _all_nodes(self, legs: Plan) -> list[Leg]:
        table = self._feed.table
        incarnations = (*table.incarnations(), *table.lingering())
        return [legs.get(incarnation, Leg(incarnation)) for incarnation in incarnations]


def _add_route(response: router_pb2.LocateResponse, target: Target, leg: Leg, source: Source) -> None:
    route = response.routes.add(
        node=leg.incarnation.node,
        epoch=leg.incarnation.epoch,
        source=router_pb2.Route.SCATTER if leg.scatter else source,
    )
    if (target.session or target.user) and not leg.scatter:
        route.sessions = len(leg.known)


def _why(target: Target, legs: Plan, caught_up: bool) -> str:
    """Why the table knows no owner, in words; "" if it knows one."""
    if not is_miss(legs):
        return ""
    kinds = ("session", "user", "file", "everyone")
    name = next(f"{kind} {getattr(target, kind)}" for kind in kinds if getattr(target, kind))
    if not caught_up:
        return f"etcd could not be read, and this router's table knows no live session of {name}"
    return f"no live session of {name}, by a table that holds everything committed before this call"
