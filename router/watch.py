"""Watch: what is there, then `synced`, then changes, for as long as the caller listens.

A watcher is woken by anything that may have changed the table's answer, asks it again, and tells the difference; so a
slow caller skips what came and went while it was not listening, and nothing gathers for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from homing.v1 import router_pb2
from registry.model import Incarnation, Node, SessionRoute
from registry.ports import RouteFeed
from router.hop.fleet import Fleet
from router.presence import present
from router.push import bad

Change = router_pb2.WatchResponse


class Watching:
    """Answers the Watch call."""

    def __init__(self, feed: RouteFeed, fleet: Fleet) -> None:
        self._feed = feed
        self._fleet = fleet

    def watch(self, request: router_pb2.WatchRequest) -> AsyncIterator[Change]:
        """The changes of a user's sessions, or of the nodes. Raises Refused at once when none is named."""
        kind = request.WhichOneof("of")
        if kind == "user" and request.user:
            return self._differences(self._user(request.user))
        if kind == "nodes" and request.nodes:
            return self._nodes()
        raise bad(kind or "of", "must not be empty" if kind else "name a user, or nodes")

    async def _nodes(self) -> AsyncIterator[Change]:
        self._fleet.send_stats()
        try:
            async for change in self._differences(self._states):
                yield change
        finally:
            self._fleet.stop_stats()

    async def _differences(self, look: Callable[[], dict[object, Change]]) -> AsyncIterator[Change]:
        """What `look` sees, then how that changes. A key that is gone is told by its `gone` twin."""
        news = asyncio.Event()
        self._fleet.listeners.add(news.set)
        try:
            if not (seen := look()):
                await self._feed.wait_caught_up()
                seen = look()
            for change in seen.values():
                yield change
            yield Change(synced=True)
            while True:
                await news.wait()
                news.clear()
                now = look()
                for change in _compare(seen, now):
                    yield change
                seen = now
        finally:
            self._fleet.listeners.discard(news.set)

    def _user(self, user: str) -> Callable[[], dict[object, Change]]:
        def look() -> dict[object, Change]:
            routes: Iterable[SessionRoute] = self._feed.table.user(user)
            return {route.sid: Change(came=present(route)) for route in routes}

        return look

    def _states(self) -> dict[object, Change]:
        return {
            incarnation.node: self._state(incarnation, node)
            for incarnation, node in self._feed.table.incarnations().items()
        }

    def _state(self, incarnation: Incarnation, node: Node) -> Change:
        hop = self._fleet.hop(incarnation)
        state = router_pb2.NodeState(node=incarnation.node, epoch=incarnation.epoch, draining=node.draining)
        if hop is not None and hop.stats is not None:
            state.sessions, state.files = hop.stats.sessions, hop.stats.files
            state.counters.update(hop.stats.counters)
        return Change(node_up=state)


def _compare(before: dict[object, Change], now: dict[object, Change]) -> Iterable[Change]:
    for key in before:
        if key not in now:
            yield Change(left=key) if isinstance(key, int) else Change(node_down=str(key))
    for key, change in now.items():
        if before.get(key) != change:
            yield change
