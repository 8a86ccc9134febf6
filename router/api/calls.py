"""What the API's calls do: one handler, whichever way a call came in (api.md)."""

import secrets
import time

import msgspec

from homing.v1 import router_pb2
from registry.model import SessionRoute
from registry.ports import RouteFeed
from router.delivery.plan import Plan, missed, plan
from router.delivery.port import Delivery
from router.hop.fleet import Fleet
from router.memberships import Memberships
from router.push import Refused, Target, bad, check_file, check_push, check_target

MAX_PAGE = 1000
DEFAULT_PAGE = 100


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router.api]`: limits of the public API."""

    max_data: int = 1_000_000  # bytes of one push's data


class Calls:
    """Each method is one call: a request in, a response out, or Refused."""

    def __init__(
        self, settings: ApiSettings, delivery: Delivery, memberships: Memberships, feed: RouteFeed, fleet: Fleet
    ) -> None:
        self._settings = settings
        self._delivery = delivery
        self._memberships = memberships
        self._feed = feed
        self._fleet = fleet

    async def push(self, request: router_pb2.PushRequest) -> router_pb2.PushResponse:
        received = time.monotonic_ns()
        request.push_id = request.push_id or secrets.token_urlsafe(16)
        push = check_push(request, self._settings.max_data)
        return router_pb2.PushResponse(report=await self._delivery.push(push, received))

    async def locate(self, request: router_pb2.LocateRequest) -> router_pb2.LocateResponse:
        target = check_target(request.target)
        legs = plan(target, self._feed.table, self._fleet.scattering())
        source, caught_up = router_pb2.Route.TABLE, True
        if missed(legs):
            source, caught_up = router_pb2.Route.TABLE_AFTER_READ, await self._feed.wait_caught_up()
            legs = plan(target, self._feed.table, self._fleet.scattering())
        response = router_pb2.LocateResponse(registry_away=not caught_up, why=_why(target, legs, caught_up))
        for life, leg in legs.items():
            response.routes.add(
                node=life.node,
                epoch=life.epoch,
                sessions=len(leg.known),
                source=router_pb2.Route.SCATTER if leg.scatter else source,
            )
        return response

    async def presence(self, request: router_pb2.PresenceRequest) -> router_pb2.PresenceResponse:
        kind = request.WhichOneof("of")
        if kind == "file":
            raise Refused("UNIMPLEMENTED", "file: a file's presence is not there yet; ask for a user's", "file")
        if not request.user:
            raise bad("user", "must not be empty")
        if request.page_size > MAX_PAGE:
            raise bad("page_size", f"{request.page_size}; at most {MAX_PAGE}")
        routes = self._feed.table.user(request.user)
        if not routes:
            await self._feed.wait_caught_up()
            routes = self._feed.table.user(request.user)
        return _page(routes, request.page_size or DEFAULT_PAGE, request.page_token)

    async def join(self, request: router_pb2.JoinRequest) -> router_pb2.JoinResponse:
        sessions = await self._change(request.target, request.file, leave=False)
        return router_pb2.JoinResponse(sessions=sessions)

    async def leave(self, request: router_pb2.LeaveRequest) -> router_pb2.LeaveResponse:
        sessions = await self._change(request.target, request.file, leave=True)
        return router_pb2.LeaveResponse(sessions=sessions)

    async def _change(self, target: router_pb2.Target, file: str, leave: bool) -> int:
        checked = check_target(target)
        if not (checked.session or checked.user):
            raise bad("target", "must be a session or a user")
        return await self._memberships.change(checked, check_file(file), leave)


def _why(target: Target, legs: Plan, caught_up: bool) -> str:
    if not missed(legs):
        return ""
    kinds = ("session", "user", "file", "everyone")
    what = next(f"{kind} {getattr(target, kind)}" for kind in kinds if getattr(target, kind))
    if not caught_up:
        return f"etcd could not be read, and this router's table knows no live session of {what}"
    return f"no live session of {what}, by a table that holds everything committed before this call"


def _page(routes: list[SessionRoute], size: int, token: str) -> router_pb2.PresenceResponse:
    """One page in sid order; a token is the last sid of the page before."""
    if token and not token.isascii():
        raise bad("page_token", "not one that this API gave")
    try:
        after = int(token or 0)
    except ValueError:
        raise bad("page_token", "not one that this API gave") from None
    rest = sorted((route for route in routes if route.sid > after), key=lambda route: route.sid)
    response = router_pb2.PresenceResponse(total=len(routes))
    for route in rest[:size]:
        present = response.sessions.add(
            session=route.sid, user=route.user, node=route.life.node, namespace=route.info.namespace
        )
        present.connected_at.FromMilliseconds(route.info.connected_at)
    if len(rest) > size:
        response.next_page_token = str(rest[size - 1].sid)
    return response
