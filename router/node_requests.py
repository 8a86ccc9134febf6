"""Shell: requests to the owning nodes that are no pushes: join, leave, disconnect, reply, presence.

One call for each node; a stale route is healed once.
"""

import asyncio
from collections.abc import Callable

from homing.internal.v1 import node_pb2
from registry.ports import RouteFeed
from router.delivery.plan import Leg, Plan, is_miss, plan
from router.hop.fleet import Fleet
from router.push import Target

ANSWER_LIMIT = 5.0  # seconds; a join waits for the registry's commit (3 s) and the routers' tables

MakeRequest = Callable[[], node_pb2.NodeRequest]
Answers = list[tuple[Leg, node_pb2.NodeResponse | None]]


class NodeRequests:
    """Sends requests over the hops of the fleet."""

    def __init__(self, feed: RouteFeed, fleet: Fleet) -> None:
        self._feed = feed
        self._fleet = fleet

    async def request(self, target: Target, make: MakeRequest) -> Answers:
        """The answer of each owner of the target; None: no answer within 5 s. `make` is called once for each node.

        When an owner turns out not to be one, the table catches up, and owners that were not contacted are contacted.
        """
        legs = self._plan(target)
        if is_miss(legs):
            await self._feed.wait_caught_up()
            legs = self._plan(target)
        answers = await self._request_all(legs, make)
        if any(answer is not None and answer.verdict != node_pb2.DONE for leg, answer in answers if not leg.scatter):
            await self._feed.wait_caught_up()
            rest = {incarnation: leg for incarnation, leg in self._plan(target).items() if incarnation not in legs}
            answers += await self._request_all(rest, make)
        return answers

    def _plan(self, target: Target) -> Plan:
        return plan(target, self._feed.table, self._fleet.scattering())

    async def _request_all(self, legs: Plan, make: MakeRequest) -> Answers:
        answers = await asyncio.gather(*(self._request_one(leg, make()) for leg in legs.values()))
        return list(zip(legs.values(), answers, strict=True))

    async def _request_one(self, leg: Leg, request: node_pb2.NodeRequest) -> node_pb2.NodeResponse | None:
        hop = self._fleet.hop(leg.incarnation)
        if hop is None:
            return None
        request.epoch = leg.incarnation.epoch
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                answer = await hop.request(request)
        except TimeoutError:
            return None
        return answer if answer is not None and answer.verdict else None  # no verdict: the node failed to handle it
