"""Routed delivery: each push goes to exactly the nodes that own its receivers, and comes back as a report.

A push whose owners the table knows is handed to their hops at once, without a task: what one caller sends to one target
stays in its order because hops keep theirs. Two things make a push wait, and then everything later to the same target
waits behind it, in its *lane* (design §5, "Healing" and "Order"): a target that the table does not know, and an owner
that says NOT_MINE or OLD_EPOCH, which shows that the table was behind. One linearizable read lets the table catch up;
then the lane is sent on its way in order. A push is healed at most once.
"""

from collections import deque
from functools import partial

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability.counters import Counters
from observability.tracing import OFF, Tracer
from registry.ports import RouteFeed
from router.delivery.awaiting import report_of
from router.delivery.message import outgoing
from router.delivery.plan import Leg, Plan, missed, plan
from router.delivery.port import Done
from router.delivery.report import ReportBuilder
from router.delivery.trace import HopTrace, PushTrace, told_to_nodes
from router.hop.fleet import Fleet
from router.hop.port import Outgoing
from router.push import CallRefused, CheckedPush, Target
from runtime.process.tasks import Tasks

LANE = 1000  # pushes to one target that may wait behind one that heals


class Flight:
    """One push from its plan to its report."""

    __slots__ = ("asked", "done", "healing", "open", "outgoing", "push", "received_ns", "report", "trace")

    def __init__(self, push: CheckedPush, received_ns: int, done: Done) -> None:
        self.push = push
        self.received_ns = received_ns
        self.done = done
        self.report = ReportBuilder(push)
        self.asked: set[object] = set()  # incarnations that were sent to
        self.open = 0  # answers that are still to come
        self.healing = False  # an owner turned out not to be one; that is mended once
        self.trace: PushTrace | None = None  # None: not sampled
        self.outgoing: Outgoing | None = None  # made at the first leg

    def end(self, result: router_pb2.PushReport | CallRefused) -> None:
        """Tell what became of it."""
        if self.trace is not None:
            self.trace.landed(result)
        self.done(result)


class Routed:
    """A `Delivery` over the fleet."""

    def __init__(self, feed: RouteFeed, fleet: Fleet, counters: Counters, tracer: Tracer = OFF) -> None:
        self.tracer = tracer
        self._feed = feed
        self._fleet = fleet
        self._counters = counters
        self._lanes: dict[Target, deque[Flight]] = {}
        self._tasks = Tasks()

    def start(self, push: CheckedPush, received_ns: int, done: Done) -> None:
        self._counters.pushes += 1
        flight = Flight(push, received_ns, done)
        context = self.tracer.begin(push.traceparent)
        if context is not None:
            flight.trace = PushTrace(self.tracer, context, push, received_ns)
            flight.report.trace_id = context.trace_id
        if push.target in self._lanes:
            self._wait_in_lane(flight)
            return
        legs = plan(push.target, self._feed.table, self._fleet.scattering())
        if missed(legs):
            self._counters.misses += 1
            self._wait_in_lane(flight)
        else:
            self._send(flight, legs)

    async def push(self, push: CheckedPush, received_ns: int) -> router_pb2.PushReport:
        return await report_of(self, push, received_ns)

    async def close(self) -> None:
        await self._tasks.close()

    # Sending --------------------------------------------------------------------------------------------------------

    def _send(self, flight: Flight, legs: Plan) -> None:
        """Hand the push to the hop of each leg; the report is made when the last has answered."""
        if flight.trace is not None:
            flight.trace.planned(legs)
        full = self._full(flight, legs)
        if full is not None:
            self._counters.pushes_refused += 1
            flight.end(full)
            return
        flight.open += 1  # this round, so that no answer lands the push before all legs have been sent
        for leg in legs.values():
            self._send_leg(flight, leg)
        self._one_less(flight)

    def _send_leg(self, flight: Flight, leg: Leg) -> None:
        flight.open += 1
        flight.asked.add(leg.incarnation)
        flight.report.contacted += 1
        self._counters.nodes_contacted += 1
        hop = self._fleet.hop(leg.incarnation)
        trace = flight.trace.hop(leg) if flight.trace is not None else None
        if hop is None:
            self._take(flight, leg, trace, None)
        else:
            hop.push(self._outgoing(flight, trace), partial(self._take, flight, leg, trace))

    def _full(self, flight: Flight, legs: Plan) -> CallRefused | None:
        for incarnation in legs:
            hop = self._fleet.hop(incarnation)
            if hop is not None and not hop.room(flight.push.size):
                text = f"the queue to node {incarnation.node} is full; nothing was sent"
                return CallRefused("RESOURCE_EXHAUSTED", text, retry_after=0.1)
        return None

    def _outgoing(self, flight: Flight, trace: HopTrace | None) -> Outgoing:
        """What goes to a node: the same to each, unless each hop has a span of its own."""
        if trace is None and flight.outgoing is not None:
            return flight.outgoing
        traceparent = told_to_nodes(self.tracer, flight.push, trace.context if trace is not None else None)
        flight.outgoing = outgoing(flight.push, flight.received_ns, traceparent)
        return flight.outgoing

    def _take(self, flight: Flight, leg: Leg, trace: HopTrace | None, answer: node_pb2.PushAnswer | None) -> None:
        if trace is not None:
            trace.answered(answer)
        if answer is None:
            self._counters.unreachable += 1
            flight.report.add_unreachable(leg)
        else:
            flight.report.add_answer(leg.incarnation, answer)
            if answer.verdict != node_pb2.DONE and not leg.scatter and not flight.healing:
                self._heal(flight)
        self._one_less(flight)

    def _one_less(self, flight: Flight) -> None:
        flight.open -= 1
        if flight.open == 0:
            flight.end(flight.report.finish())

    def _heal(self, flight: Flight) -> None:
        """An owner turned out not to be one. Other owners may still be answering, acks may be awaited: the lane is
        entered now, so that nothing later to this target overtakes what healing will send."""
        flight.healing = True
        flight.open += 1  # what healing finds
        if flight.trace is not None:
            flight.trace.planning()
        self._wait_in_lane(flight)

    # Waiting for the table ------------------------------------------------------------------------------------------

    def _wait_in_lane(self, flight: Flight) -> None:
        target = flight.push.target
        lane = self._lanes.get(target)
        if lane is None:
            self._lanes[target] = deque((flight,))
            self._tasks.start(self._catch_up(target))
        elif len(lane) < LANE or flight.healing:
            lane.append(flight)
        else:
            self._counters.pushes_refused += 1
            text = f"{LANE} pushes to this target wait already; nothing was sent"
            flight.end(CallRefused("RESOURCE_EXHAUSTED", text, retry_after=0.1))

    async def _catch_up(self, target: Target) -> None:
        """Let the table catch up, then send the lane on its way, in its order. Stopped, it ends what waits."""
        current, stopped = False, True
        try:
            current = await self._feed.wait_caught_up()
            stopped = False
        finally:
            if not current:
                self._counters.registry_away += 1
            for flight in self._lanes.pop(target):
                flight.report.registry_away = not current
                self._leave_lane(flight, stopped)

    def _leave_lane(self, flight: Flight, stopped: bool) -> None:
        if flight.trace is not None:
            flight.trace.waited = True
        if stopped and not flight.healing:
            flight.end(CallRefused("UNAVAILABLE", "this router is stopping; nothing was sent", retry_after=0.1))
            return
        legs = {} if stopped else plan(flight.push.target, self._feed.table, self._fleet.scattering())
        if flight.healing:
            self._send_to_the_rest(flight, legs)
        else:
            self._send(flight, legs)

    def _send_to_the_rest(self, flight: Flight, legs: Plan) -> None:
        """The second round: owners that were not asked in the first. A full queue there is a node that did not
        answer, since something of this push may have been sent."""
        rest = {incarnation: leg for incarnation, leg in legs.items() if incarnation not in flight.asked}
        if rest:
            self._counters.healed += 1
            flight.report.healed = True
        if flight.trace is not None:
            flight.trace.planned(rest)
        for leg in rest.values():
            self._send_leg(flight, leg)
        self._one_less(flight)
