"""Shell: the Presence call: a user's sessions from the table, a file's from its owners (docs/api.md, "Presence").

Pages are in the order of session ids. A page token is the last sid of the previous page, so a page is right whichever
sessions came or went in between.
"""

import heapq
from collections.abc import Iterable

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from registry.model import SessionRoute
from registry.ports import RouteFeed
from router.node_requests import NodeRequests
from router.push import Target, check_file, invalid_argument

MAX_PAGE = 1000
DEFAULT_PAGE = 100


class PresenceCalls:
    """Answers Presence calls."""

    def __init__(self, feed: RouteFeed, node_requests: NodeRequests) -> None:
        self._feed = feed
        self._node_requests = node_requests

    async def answer(self, request: router_pb2.PresenceRequest) -> router_pb2.PresenceResponse:
        """One page. Raises CallRefused, naming the field."""
        kind = request.WhichOneof("of")
        if kind is None or not getattr(request, kind):
            raise invalid_argument(kind or "of", "must not be empty" if kind else "name a user or a file")
        size, after = _page(request)
        if kind == "file":
            return await self._of_file(check_file(request.file), size, after)
        return await self._of_user(request.user, size, after)

    async def _of_user(self, user: str, size: int, after: int) -> router_pb2.PresenceResponse:
        routes = self._feed.table.user(user)
        if not routes:
            await self._feed.wait_caught_up()
            routes = self._feed.table.user(user)
        response = router_pb2.PresenceResponse(total=len(routes))
        return _fill(response, map(to_session, routes), size, after)

    async def _of_file(self, file: str, size: int, after: int) -> router_pb2.PresenceResponse:
        def make() -> node_pb2.NodeRequest:
            # One more than a page holds shows whether there is a next page.
            return node_pb2.NodeRequest(presence=node_pb2.FilePresence(file=file, after=after, limit=size + 1))

        response = router_pb2.PresenceResponse()
        sessions: list[router_pb2.PresentSession] = []
        for leg, answer in await self._node_requests.request(Target(file=file), make):
            if answer is None:
                response.incomplete_nodes.append(leg.incarnation.node)
                continue
            response.total += answer.sessions
            sessions += [_from_node(present, leg.incarnation.node) for present in answer.present]
        return _fill(response, sessions, size, after)


def to_session(route: SessionRoute) -> router_pb2.PresentSession:
    """The session of a route in the table."""
    session = router_pb2.PresentSession(
        session=route.sid, user=route.user, node=route.incarnation.node, namespace=route.info.namespace
    )
    session.connected_at.FromMilliseconds(route.info.connected_at)
    return session


def _from_node(present: node_pb2.Present, node: str) -> router_pb2.PresentSession:
    session = router_pb2.PresentSession(
        session=present.session, user=present.user, node=node, namespace=present.namespace
    )
    session.connected_at.FromMilliseconds(present.connected_at_ms)
    return session


def _page(request: router_pb2.PresenceRequest) -> tuple[int, int]:
    if request.page_size > MAX_PAGE:
        raise invalid_argument("page_size", f"{request.page_size}; at most {MAX_PAGE}")
    token = request.page_token
    if token and not (token.isascii() and token.isdecimal() and len(token) < 20):
        raise invalid_argument("page_token", "not a token of this API")
    return request.page_size or DEFAULT_PAGE, int(token or 0)


def _fill(
    response: router_pb2.PresenceResponse, sessions: Iterable[router_pb2.PresentSession], size: int, after: int
) -> router_pb2.PresenceResponse:
    rest = (session for session in sessions if session.session > after)
    page = heapq.nsmallest(size + 1, rest, key=lambda session: session.session)
    response.sessions.extend(page[:size])
    if len(page) > size:
        response.next_page_token = str(page[size - 1].session)
    return response
