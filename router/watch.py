"""Shell: the Watch call: what is there, `synced`, then changes, for as long as the caller reads
(docs/api.md, "Watch").

After any change of the table or of a hop, a watch takes a new snapshot and sends the difference to the previous one. So
a slow caller skips what came and went in between, and nothing accumulates for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from homing.v1 import router_pb2
from registry.model import Incarnation, Node
from registry.ports import RouteFeed
from router.hop.fleet import Fleet
from router.presence import to_session
from router.push import invalid_argument

Change = router_pb2.WatchResponse
States = dict[object, Change]
"""The message that shows each session (by sid) or each node (by node id)."""


class WatchCalls:
    """Answers Watch calls."""

    def __init__(self, feed: RouteFeed, fleet: Fleet) -> None:
        self._feed = feed
        self._fleet = fleet

    def watch(self, request: router_pb2.WatchRequest) -> AsyncIterator[Change]:
        """The changes of a user's sessions, or of the nodes. Raises CallRefused at once when neither is named."""
        kind = request.WhichOneof("of")
        if kind == "user" and request.user:
            return self._changes(lambda: self._sessions(request.user))
        if kind == "nodes" and request.nodes:
            return self._node_changes()
        raise invalid_argument(kind or "of", "must not be empty" if kind else "name a user, or nodes")

    async def _node_changes(self) -> AsyncIterator[Change]:
        self._fleet.request_stats()
        try:
            async for change in self._changes(self._nodes):
                yield change
        finally:
            self._fleet.release_stats()

    async def _changes(self, snapshot: Callable[[], States]) -> AsyncIterator[Change]:
        changed = asyncio.Event()
        self._fleet.add_listener(changed.set)
        try:
            if not (before := snapshot()):
                await self._feed.wait_caught_up()
                before = snapshot()
            for change in before.values():
                yield change
            yield Change(synced=True)
            while True:
                await changed.wait()
                changed.clear()
                now = snapshot()
                for change in _difference(before, now):
                    yield change
                before = now
        finally:
            self._fleet.remove_listener(changed.set)

    def _sessions(self, user: str) -> States:
        return {route.sid: Change(came=to_session(route)) for route in self._feed.table.user(user)}

    def _nodes(self) -> States:
        incarnations = self._feed.table.incarnations()
        return {incarnation.node: self._node(incarnation, node) for incarnation, node in incarnations.items()}

    def _node(self, incarnation: Incarnation, node: Node) -> Change:
        hop = self._fleet.hop(incarnation)
        state = router_pb2.NodeState(node=incarnation.node, epoch=incarnation.epoch, draining=node.draining)
        if hop is not None and hop.stats is not None:
            state.sessions, state.files = hop.stats.sessions, hop.stats.files
            state.counters.update(hop.stats.counters)
        return Change(node_up=state)


def _difference(before: States, now: States) -> Iterable[Change]:
    for key in before:
        if key not in now:
            yield Change(left=key) if isinstance(key, int) else Change(node_down=str(key))
    for key, change in now.items():
        if before.get(key) != change:
            yield change
