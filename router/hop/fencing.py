"""Is this node still alive? The store's answer, read linearizably, for nodes whose lease may be over (design §4).

ALIVE and FENCED are always fresh. AWAY takes a read that failed, which takes its whole deadline; so once one has
failed, AWAY is answered at once while another read goes on behind it, until the store is back.
"""

import asyncio

from homing.internal.v1 import node_pb2
from registry.lapse import FencingAnswer
from registry.model import Incarnation
from registry.ports import RouteFeed

ON_THE_WIRE = {
    FencingAnswer.ALIVE: node_pb2.Fencing.ALIVE,
    FencingAnswer.FENCED: node_pb2.Fencing.FENCED,
    FencingAnswer.AWAY: node_pb2.Fencing.AWAY,
}


class FencingJudge:
    """One for a router. Its background read is the only task it has; `close` ends it."""

    def __init__(self, feed: RouteFeed) -> None:
        self._feed = feed
        self._away = False
        self._reading: asyncio.Task[None] | None = None

    async def judge(self, incarnation: Incarnation) -> "node_pb2.Fencing.State":
        """What to tell this incarnation."""
        if self._away:
            self._read_on(incarnation)
            return node_pb2.Fencing.AWAY
        answer = await self._feed.lease_state(incarnation)
        self._away = answer is FencingAnswer.AWAY
        return ON_THE_WIRE[answer]

    async def close(self) -> None:
        """Let go of the background read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _read_on(self, incarnation: Incarnation) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read(incarnation))

    async def _read(self, incarnation: Incarnation) -> None:
        self._away = await self._feed.lease_state(incarnation) is FencingAnswer.AWAY
