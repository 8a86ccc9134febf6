"""Join and leave a file on behalf of the sessions that are live now: one call per owning node."""

import asyncio

from homing.internal.v1 import node_pb2
from registry.ports import RouteFeed
from router.delivery.plan import Leg, missed, plan, receivers
from router.hop.fleet import Fleet
from router.push import Refused, Target

ANSWER_LIMIT = 5.0  # seconds; a join waits for the registry's commit (3 s) and the routers' tables


class Memberships:
    """Changes which files sessions have joined."""

    def __init__(self, feed: RouteFeed, fleet: Fleet) -> None:
        self._feed = feed
        self._fleet = fleet

    async def change(self, target: Target, file: str, leave: bool) -> int:
        """How many sessions have joined (or left) the file now; 0 when the target has no live session.

        UNAVAILABLE when an owning node did not answer: others may have done it, and asking again is safe.
        """
        legs = plan(target, self._feed.table, self._fleet.scattering())
        if missed(legs):
            await self._feed.wait_caught_up()
            legs = plan(target, self._feed.table, self._fleet.scattering())
        answers = await asyncio.gather(*(self._ask(target, leg, file, leave) for leg in legs.values()))
        silent = [leg.life.node for leg, answer in zip(legs.values(), answers, strict=True) if answer is None]
        if silent:
            raise Refused("UNAVAILABLE", f"node {silent[0]} did not answer; ask again", retry_after=1.0)
        return sum(answer.sessions for answer in answers if answer is not None)

    async def _ask(self, target: Target, leg: Leg, file: str, leave: bool) -> node_pb2.MembershipAnswer | None:
        hop = self._fleet.hop(leg.life)
        if hop is None:
            return None
        message = node_pb2.Membership(epoch=leg.life.epoch, receivers=receivers(target), file=file, leave=leave)
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                return await hop.membership(message)
        except TimeoutError:
            return None
