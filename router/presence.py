"""Who is there: a user's sessions from the table, a file's by asking its owners; pages in sid order.

A page token is the last sid of the page before, so a page is right whatever came or went in between.
"""

import heapq
from collections.abc import Iterable

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from registry.model import SessionRoute
from registry.ports import RouteFeed
from router.node_requests import NodeRequests
from router.push import Target, bad, check_file

MAX_PAGE = 1000
DEFAULT_PAGE = 100


class Presence:
    """Answers the Presence call."""

    def __init__(self, feed: RouteFeed, asking: NodeRequests) -> None:
        self._feed = feed
        self._node_requests = asking

    async def answer(self, request: router_pb2.PresenceRequest) -> router_pb2.PresenceResponse:
        """One page. Raises Refused that names the field."""
        kind = request.WhichOneof("of")
        if kind is None or not getattr(request, kind):
            raise bad(kind or "of", "must not be empty" if kind else "name a user or a file")
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
        return _fill(response, map(present, routes), size, after)

    async def _of_file(self, file: str, size: int, after: int) -> router_pb2.PresenceResponse:
        def make() -> node_pb2.NodeRequest:
            # One more than the page holds: whether there is a next one.
            return node_pb2.NodeRequest(presence=node_pb2.FilePresence(file=file, after=after, limit=size + 1))

        response = router_pb2.PresenceResponse()
        sessions: list[router_pb2.PresentSession] = []
        for leg, answer in await self._node_requests.request(Target(file=file), make):
            if answer is None:
                response.incomplete_nodes.append(leg.incarnation.node)
                continue
            response.total += answer.sessions
            sessions += [_from_node(one, leg.incarnation.node) for one in answer.present]
        return _fill(response, sessions, size, after)


def present(route: SessionRoute) -> router_pb2.PresentSession:
    """A session as the table knows it."""
    session = router_pb2.PresentSession(
        session=route.sid, user=route.user, node=route.incarnation.node, namespace=route.info.namespace
    )
    session.connected_at.FromMilliseconds(route.info.connected_at)
    return session


def _from_node(one: node_pb2.Present, node: str) -> router_pb2.PresentSession:
    session = router_pb2.PresentSession(session=one.session, user=one.user, node=node, namespace=one.namespace)
    session.connected_at.FromMilliseconds(one.connected_at_ms)
    return session


def _page(request: router_pb2.PresenceRequest) -> tuple[int, int]:
    if request.page_size > MAX_PAGE:
        raise bad("page_size", f"{request.page_size}; at most {MAX_PAGE}")
    token = request.page_token
    if token and not (token.isascii() and token.isdecimal() and len(token) < 20):
        raise bad("page_token", "not one that this API gave")
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
