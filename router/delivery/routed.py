"""Routed delivery: each push goes to exactly the nodes that own its receivers, and comes back as a report.

Plan, send, and at most one retry inside the call: an owner that says NOT_MINE or OLD_EPOCH shows that the table was
behind, so the table catches up with one linearizable read and the push goes to owners that were not asked yet
(design §5, "Healing").
"""

import asyncio
from collections.abc import Iterable

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability.counters import Counters
from registry.ports import RouteFeed
from router.delivery.plan import Leg, Plan, missed, plan, receivers
from router.delivery.report import Report
from router.hop.fleet import Fleet
from router.push import CheckedPush, Refused, Target

ANSWER_LIMIT = 3.0  # seconds; an owner's report is due 1 s after its last write, so past this it did not answer


class Routed:
    """A `Delivery` over the fleet."""

    def __init__(self, feed: RouteFeed, fleet: Fleet, counters: Counters) -> None:
        self._feed = feed
        self._fleet = fleet
        self._counters = counters

    async def push(self, push: CheckedPush, received_ns: int) -> router_pb2.PushReport:
        self._counters.pushes += 1
        report = Report(push)
        legs = plan(push.target, self._feed.table, self._fleet.scattering())
        if missed(legs):
            legs = await self._plan_again(push.target, report)
        self._refuse_if_full(legs.values(), len(push.data))
        if await self._send(push, legs.values(), received_ns, report):
            fresh = await self._plan_again(push.target, report)
            await self._heal(push, [leg for life, leg in fresh.items() if life not in legs], received_ns, report)
        return report.finish(_trace_id(push.traceparent))

    async def _plan_again(self, target: Target, report: Report) -> Plan:
        """The plan by a table that holds everything committed before now, if etcd can be read."""
        self._counters.misses += 1
        if not await self._feed.wait_caught_up():
            self._counters.registry_away += 1
            report.registry_away = True
        return plan(target, self._feed.table, self._fleet.scattering())

    def _refuse_if_full(self, legs: Iterable[Leg], size: int) -> None:
        for leg in legs:
            hop = self._fleet.hop(leg.life)
            if hop is not None and not hop.room(size):
                self._counters.pushes_refused += 1
                text = f"the queue to node {leg.life.node} is full; nothing was sent"
                raise Refused("RESOURCE_EXHAUSTED", text, retry_after=0.1)

    async def _heal(self, push: CheckedPush, legs: list[Leg], received_ns: int, report: Report) -> None:
        if legs:
            self._counters.healed += 1
            report.healed = True
            await self._send(push, legs, received_ns, report)

    async def _send(self, push: CheckedPush, legs: Iterable[Leg], received_ns: int, report: Report) -> bool:
        """Send one message to each leg and gather the answers; True when an owner turned out not to be one."""
        asked = [(leg, self._hand_over(push, leg, received_ns)) for leg in legs]
        report.contacted += len(asked)
        self._counters.nodes_contacted += len(asked)
        stale = False
        for leg, answer in await self._answers(asked):
            if answer is None:
                self._counters.unreachable += 1
                report.add_unreachable(leg)
            else:
                report.add_answer(leg.life, answer)
                stale = stale or (answer.verdict != node_pb2.DONE and not leg.scatter)
        return stale

    def _hand_over(
        self, push: CheckedPush, leg: Leg, received_ns: int
    ) -> "asyncio.Future[node_pb2.PushAnswer | None] | None":
        hop = self._fleet.hop(leg.life)
        if hop is None:
            return None
        message = node_pb2.Push(
            epoch=leg.life.epoch,
            receivers=receivers(push.target),
            event=push.event,
            data=push.data,
            content_type=push.content_type,
            push_id=push.push_id,
            ttl_ms=round(push.ttl * 1000),
            except_sessions=push.except_sessions,
            traceparent=push.traceparent,
            max_deliveries=push.max_deliveries,
            received_ns=received_ns,
        )
        return hop.push(message)

    async def _answers(
        self, asked: "list[tuple[Leg, asyncio.Future[node_pb2.PushAnswer | None] | None]]"
    ) -> list[tuple[Leg, node_pb2.PushAnswer | None]]:
        waiting = [future for _, future in asked if future is not None and not future.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=ANSWER_LIMIT)
        return [(leg, future.result() if future is not None and future.done() else None) for leg, future in asked]


def _trace_id(traceparent: str) -> str:
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 else ""
