"""Shell: answers to fencing queries: whether an incarnation whose lease may be over is still alive
(docs/design.md, "Dead, paused, cut off").

ALIVE and FENCED are always the result of a linearizable read that began after the query. AWAY takes a read that failed,
which takes the whole deadline of a read; so after one failure AWAY is answered at once, while another read runs in the
background, until etcd answers again.
"""

import asyncio

from homing.internal.v1 import node_pb2
from registry.lease_state import FencingAnswer
from registry.model import Incarnation
from registry.ports import RouteFeed

TO_PROTO = {
    FencingAnswer.ALIVE: node_pb2.Fencing.ALIVE,
    FencingAnswer.FENCED: node_pb2.Fencing.FENCED,
    FencingAnswer.AWAY: node_pb2.Fencing.AWAY,
}


class FencingQueries:
    """Answers the fencing queries of all nodes. Owns one task, the background read; `close` ends the task."""

    def __init__(self, feed: RouteFeed) -> None:
        self._feed = feed
        self._away = False
        self._background: asyncio.Task[None] | None = None

    async def answer(self, incarnation: Incarnation) -> "node_pb2.Fencing.State":
        """The state of this incarnation."""
        if self._away:
            self._read_in_background(incarnation)
            return node_pb2.Fencing.AWAY
        state = await self._feed.fencing_answer(incarnation)
        self._away = state is FencingAnswer.AWAY
        return TO_PROTO[state]

    async def close(self) -> None:
        """Cancel the background read."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)

    def _read_in_background(self, incarnation: Incarnation) -> None:
        if self._background is None or self._background.done():
            self._background = asyncio.get_running_loop().create_task(self._read(incarnation))

    async def _read(self, incarnation: Incarnation) -> None:
        self._away = await self._feed.fencing_answer(incarnation) is FencingAnswer.AWAY
