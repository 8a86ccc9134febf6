"""Shell: routed delivery: each push goes to exactly the nodes that own its receivers, and is reported.

A push whose owners the table knows is handed to their hops at once, without a task. Three conditions make a push wait
in the lane of its target (router/delivery/lanes.py), and every later push to that target behind it: the table knows no
owner (a miss), or was not compared with the store since a pause of this process; an owner answers NOT_MINE or
OLD_EPOCH, so the table was behind (healing); or the owners are others than those of the pushes in flight, which may yet
be healed. The lane waits until nothing is in flight, lets the table catch up with one linearizable read unless only the
owners have changed, and sends its pushes in order. Healing may meet wrong records again: a push is healed a few times
at most (docs/design.md, "Order, healing, deadlines, dedup").
"""

import asyncio
import contextlib
from functools import partial

from homing.internal.v1 import node_pb2
from observability.counters import Counters
from observability.tracing import OFF, Tracer
from registry.model import SessionRoute
from registry.ports import RouteFeed
from router.delivery.lanes import LANE_CAPACITY, Lane, RoutedPush
from router.delivery.message import to_outgoing
from router.delivery.plan import Leg, Plan, denied, is_miss, is_stale, plan
from router.delivery.port import OnResult
from router.delivery.trace import HopTrace, PushTrace, traceparent_for_nodes
from router.hop.fleet import Fleet
from router.hop.port import OutgoingPush
from router.push import CallRefused, CheckedPush, Target
from runtime.process.background_tasks import BackgroundTasks

HEALINGS = 3  # of one push; a session has as many wrong records as incarnations that went wrong, so one is usual
SETTLE_LIMIT = 0.05  # seconds that a lane waits for pushes in flight; a node answers NOT_MINE and OLD_EPOCH at once
RETRY_AFTER = 0.1  # seconds


class Routed:
    """See `router.delivery.port.PushDelivery`. Sends over the hops of the fleet."""

    def __init__(self, feed: RouteFeed, fleet: Fleet, counters: Counters, tracer: Tracer = OFF) -> None:
        self._tracer = tracer
        self._feed = feed
        self._fleet = fleet
        self._counters = counters
        self._lanes: dict[Target, Lane] = {}  # of targets with a push in flight or waiting
        self._settled: dict[Lane, asyncio.Event] = {}  # of lanes that wait for pushes in flight
        self._tasks = BackgroundTasks()

    def start(self, push: CheckedPush, received_ns: int, on_result: OnResult) -> None:
        self._counters.pushes += 1
        routed = RoutedPush(self._counters.pushes, push, received_ns, on_result)
        context = self._tracer.begin(push.traceparent)
        if context is not None:
            routed.trace = PushTrace(self._tracer, context, push, received_ns)
            routed.report.trace_id = context.trace_id
        lane = self._lanes.get(push.target)
        if lane is not None and lane.waiting is not None:
            self._wait(routed, lane)
            return
        legs = plan(push.target, self._feed.table, self._fleet.scattering())
        if self._feed.unverified or is_miss(legs):
            self._counters.misses += 1
            self._wait(routed, lane)
        elif lane is None or lane.may_send(legs):
            self._send(routed, legs, lane)
        else:
            self._wait(routed, lane)

    async def close(self) -> None:
        await self._tasks.close()
        for target, lane in list(self._lanes.items()):
            if lane.waiting:  # its task was cancelled before the first step
                self._resume_all(target, lane, read=False, current=False, stopped=True)

    def _plan(self, target: Target) -> Plan:
        return plan(target, self._feed.table, self._fleet.scattering())

    # Sending

    def _send(self, routed: RoutedPush, legs: Plan, lane: Lane | None) -> None:
        """Hand the push to the hop of each leg. The report is made after the last answer."""
        if routed.trace is not None:
            routed.trace.record_plan(legs)
        refused = self._refuse_if_full(routed, legs)
        if refused is not None:
            self._counters.pushes_refused += 1
            routed.finish(refused)
            return
        if not routed.push.target.session and self._feed.may_lack_routes:
            routed.report.registry_away = True
        if lane is None:
            lane = self._lanes[routed.push.target] = Lane()
        lane.in_flight += 1
        lane.legs = legs  # of no more nodes than the legs before
        routed.lane = lane
        routed.contacted = legs
        self._send_legs(routed, legs)

    def _send_legs(self, routed: RoutedPush, legs: Plan) -> None:
        routed.pending += len(legs) + 1  # and this loop, so that no answer within it finishes the report
        routed.report.nodes_contacted += len(legs)
        self._counters.nodes_contacted += len(legs)
        for incarnation, leg in legs.items():
            hop = self._fleet.hop(incarnation)
            trace = routed.trace.start_hop(leg) if routed.trace is not None else None
            if hop is None:
                self._on_answer(routed, leg, trace, None)
            else:
                hop.push(self._outgoing(routed, trace), partial(self._on_answer, routed, leg, trace))
        self._decrement_pending(routed)

    def _refuse_if_full(self, routed: RoutedPush, legs: Plan) -> CallRefused | None:
        for incarnation in legs:
            hop = self._fleet.hop(incarnation)
            if hop is not None and not hop.has_room(routed.push.size):
                text = f"the queue to node {incarnation.node} is full; nothing was sent"
                return CallRefused("RESOURCE_EXHAUSTED", text, retry_after=RETRY_AFTER)
        return None

    def _outgoing(self, routed: RoutedPush, trace: HopTrace | None) -> OutgoingPush:
        """The encoded push: one for all nodes, unless each hop has a span of its own."""
        if trace is None and routed.outgoing is not None:
            return routed.outgoing
        context = trace.context if trace is not None else None
        traceparent = traceparent_for_nodes(self._tracer, routed.push, context)
        routed.outgoing = to_outgoing(routed.push, routed.received_ns, traceparent)
        return routed.outgoing

    def _on_answer(
        self, routed: RoutedPush, leg: Leg, trace: HopTrace | None, answer: node_pb2.PushAnswer | None
    ) -> None:
        if trace is not None:
            trace.finish(answer)
        if answer is None:
            self._counters.unreachable += 1
            routed.report.add_unreachable(leg)
        else:
            routed.report.add_answer(leg.incarnation, answer)
            if answer.verdict != node_pb2.DONE:
                routed.refusing.add(leg.incarnation.node)
            if answer.verdict == node_pb2.OLD_EPOCH:
                self._on_outdated(routed, leg)
            gone = denied(leg, answer, routed.push.except_sessions) if leg.known else []
            stale = gone or (answer.verdict != node_pb2.DONE and is_stale(routed.push.target, answer))
            if stale and not leg.scatter and _is_overtaken(routed):
                # Too late to be healed: a later push may have reached the sessions that this one has missed.
                if answer.verdict != node_pb2.OLD_EPOCH and (gone or not leg.known):  # else all were excepted
                    routed.report.add_unreachable(Leg(leg.incarnation, tuple(gone)))
            elif stale:
                routed.denied += gone
                if not leg.scatter and not routed.healing:
                    self._heal(routed, leg, gone, answer.verdict)
        self._decrement_pending(routed)

    def _heal(self, routed: RoutedPush, leg: Leg, gone: list[SessionRoute], verdict: "node_pb2.Verdict") -> None:
        """Heal a push that has met a wrong record. Again only for what the table can still tell: another record of a
        session, or what became of a node's incarnation. When it was healed too often, the next call tries the rest."""
        if not routed.healings:
            self._start_healing(routed)
            return
        if verdict == node_pb2.OLD_EPOCH:
            if routed.healings < HEALINGS:
                self._start_healing(routed)
            return
        left = self._others(routed, gone)
        if left and routed.healings < HEALINGS:
            self._start_healing(routed)
        elif left:
            self._counters.unreachable += 1
            routed.report.add_unreachable(Leg(leg.incarnation, left))

    def _others(self, routed: RoutedPush, gone: list[SessionRoute]) -> tuple[SessionRoute, ...]:
        """Of these routes, which their nodes have denied, those whose session has another one, to a node that was not
        contacted. One that was contacted has found its own sessions by itself."""
        table = self._feed.table
        for route in gone:
            if not routed.report.registry_away:
                table.distrust(route.sid, route.incarnation)
        others = ((route, table.session(route.sid)) for route in gone)
        return tuple(route for route, other in others if other and other.incarnation not in routed.contacted)

    def _on_outdated(self, routed: RoutedPush, leg: Leg) -> None:
        """A node has answered that this incarnation of it is over. Healing finds out what that means, unless it is too
        late for it or is not begun."""
        if leg.scatter or routed.healings >= HEALINGS or _is_overtaken(routed):
            self._counters.unreachable += 1
            routed.report.add_unreachable(leg)
        else:
            routed.outdated.append(leg)

    def _decrement_pending(self, routed: RoutedPush) -> None:
        routed.pending -= 1
        if routed.pending == 0:
            self._end_flight(routed)
            routed.finish(routed.report.finish())

    def _end_flight(self, routed: RoutedPush) -> None:
        """The push can no longer be healed, or its healing begins."""
        lane, routed.lane = routed.lane, None
        if lane is None:
            return
        lane.in_flight -= 1
        if lane.in_flight == 0:
            if lane.waiting is None:
                del self._lanes[routed.push.target]
            elif (settled := self._settled.get(lane)) is not None:
                settled.set()

    # Waiting

    def _start_healing(self, routed: RoutedPush) -> None:
        """Enter the lane at the first stale answer, although other owners may still be answering, or waiting for acks:
        no later push to this target may overtake what healing sends."""
        self._end_flight(routed)
        routed.healing = True
        routed.pending += 1  # until `_send_healed`
        if routed.trace is not None:
            routed.trace.restart_plan()
        lane = self._lanes.get(routed.push.target)
        lane = self._wait(routed, lane)
        lane.needs_read = True

    def _wait(self, routed: RoutedPush, lane: Lane | None) -> Lane:
        """Put the push into its lane, and start the lane if it does not run."""
        target = routed.push.target
        if lane is None:
            lane = self._lanes[target] = Lane()
        starts = lane.waiting is None
        if not lane.wait(routed):
            self._counters.pushes_refused += 1
            text = f"{LANE_CAPACITY} pushes to this target wait already; nothing was sent"
            routed.finish(CallRefused("RESOURCE_EXHAUSTED", text, retry_after=RETRY_AFTER))
        elif starts:
            self._tasks.start(self._run_lane(target, lane))
        return lane

    async def _run_lane(self, target: Target, lane: Lane) -> None:
        """Wait until the lane's pushes can be sent, then send them in order. When cancelled, finish them."""
        read = current = False
        stopped = True
        try:
            await self._wait_settled(lane)
            read = lane.needs_read or self._feed.unverified or is_miss(self._plan(target))
            current = not read or await self._feed.wait_caught_up()
            stopped = False
        finally:
            if not current:
                self._counters.registry_away += 1
            self._resume_all(target, lane, read, current, stopped)

    async def _wait_settled(self, lane: Lane) -> None:
        """Until no push of the lane is in flight, or for the limit: a push may wait long for clients' acks."""
        if lane.in_flight:
            settled = self._settled[lane] = asyncio.Event()
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SETTLE_LIMIT):
                        await settled.wait()
            finally:
                del self._settled[lane]

    def _resume_all(self, target: Target, lane: Lane, read: bool, current: bool, stopped: bool) -> None:
        """Send what waits. Pushes that are still in flight stay with the old lane, which holds up no other push."""
        lane.overtaken = True
        following = self._lanes[target] = Lane()
        following.waiting = []  # a push that is started by a report below waits for its turn
        for routed in lane.waiting or ():
            routed.report.registry_away = not current
            if routed.trace is not None:
                routed.trace.caught_up = read
            self._resume(routed, following, stopped)
        if following.waiting:
            self._tasks.start(self._run_lane(target, following))
            return
        following.waiting = None
        if not following.in_flight:
            del self._lanes[target]

    def _resume(self, routed: RoutedPush, lane: Lane, stopped: bool) -> None:
        if stopped and not routed.healing:
            text = "this router is stopping; nothing was sent"
            routed.finish(CallRefused("UNAVAILABLE", text, retry_after=RETRY_AFTER))
            return
        if not stopped and not routed.report.registry_away:
            for route in routed.denied:
                self._feed.table.distrust(route.sid, route.incarnation)
        legs = {} if stopped else self._plan(routed.push.target)
        if routed.healing:
            self._send_healed(routed, legs, lane, stopped)
        elif lane.waiting or not lane.covers(legs):
            self._wait(routed, lane)
        else:
            self._send(routed, legs, lane)

    def _send_healed(self, routed: RoutedPush, legs: Plan, lane: Lane, stopped: bool) -> None:
        """Send to the owners that were not contacted before. A full queue does not refuse the push, because something
        was sent already. A node that was contacted, and is an owner still, was between two incarnations: nobody knows
        yet which of its sessions go on, so they are UNREACHABLE."""
        for leg in routed.outdated:  # a node between two incarnations: its sessions may be registered anew
            if stopped or leg.incarnation in legs:
                self._counters.unreachable += 1
                routed.report.add_unreachable(leg)
        routed.healing = False
        routed.healings += 1
        routed.denied, routed.outdated = [], []
        written = {incarnation.node for incarnation in routed.contacted} - routed.refusing
        rest = {incarnation: leg for incarnation, leg in legs.items() if incarnation not in routed.contacted}
        # A node that may have written the push keeps its sessions under another epoch: that is no owner to send to.
        rest = {incarnation: leg for incarnation, leg in rest.items() if incarnation.node not in written}
        if rest:
            self._counters.healed += 1
            routed.report.healed = True
        if routed.trace is not None:
            routed.trace.record_plan(rest)
        routed.contacted = routed.contacted | rest
        lane.enter_healed(routed.contacted)
        routed.lane = lane
        self._send_legs(routed, rest)
        self._decrement_pending(routed)


def _is_overtaken(routed: RoutedPush) -> bool:
    """Whether later pushes to its target were sent while it was in flight, after they had waited for it."""
    return routed.lane is not None and routed.lane.overtaken
