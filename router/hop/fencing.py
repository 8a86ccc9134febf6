"""Is this node still alive? The store's answer, read linearizably, for nodes whose lease may be over (design §4).

ALIVE and FENCED are always fresh. AWAY takes a read that failed, which takes its whole deadline; so once one has
failed, AWAY is answered at once while another read goes on behind it, until the store is back.
"""

import asyncio

from homing.internal.v1 import node_pb2
from registry.lapse import Answer
from registry.model import Life
from registry.ports import RouteFeed

ON_THE_WIRE = {
    Answer.ALIVE: node_pb2.Fencing.ALIVE,
    Answer.FENCED: node_pb2.Fencing.FENCED,
    Answer.AWAY: node_pb2.Fencing.AWAY,
}


class FencingJudge:
    """One for a router. Its background read is the only task it has; `close` ends it."""

    def __init__(self, feed: RouteFeed) -> None:
        self._feed = feed
        self._away = False
        self._reading: asyncio.Task[None] | None = None

    async def judge(self, life: Life) -> "node_pb2.Fencing.State":
        """What to tell this life."""
        if self._away:
            self._read_on(life)
            return node_pb2.Fencing.AWAY
        answer = await self._feed.standing(life)
        self._away = answer is Answer.AWAY
        return ON_THE_WIRE[answer]

    async def close(self) -> None:
        """Let go of the background read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _read_on(self, life: Life) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read(life))

    async def _read(self, life: Life) -> None:
        self._away = await self._feed.standing(life) is Answer.AWAY
