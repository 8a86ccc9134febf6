"""Core: the nodes' answers become one report, worst outcomes first, counts complete (api.md, PushReport)."""

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability.traceparent import trace_id_of
from registry.model import Incarnation
from router.delivery.plan import Leg
from router.push import CheckedPush

Outcome = router_pb2.Delivery.Outcome

WORST_FIRST = (
    router_pb2.Delivery.UNREACHABLE,
    router_pb2.Delivery.DROPPED_SLOW,
    router_pb2.Delivery.EXPIRED,
    router_pb2.Delivery.OFFLINE,
    router_pb2.Delivery.QUEUED,
    router_pb2.Delivery.DUPLICATE,
    router_pb2.Delivery.STORED,
    router_pb2.Delivery.WRITTEN,
    router_pb2.Delivery.ACKED,
)
_RANK = {outcome: rank for rank, outcome in enumerate(WORST_FIRST)}
_NAMES = {number: Outcome.Name(number) for number in Outcome.values() if number}


class ReportBuilder:
    """Gathers one push's answers; `finish` makes the message."""

    __slots__ = ("_counts", "_deliveries", "_owning", "_push", "contacted", "healed", "registry_away", "trace_id")

    def __init__(self, push: CheckedPush) -> None:
        self._push = push
        self._counts: dict[Outcome, int] = {}
        self._deliveries: list[tuple[str, node_pb2.Delivered]] = []  # by node; "" = none
        self._owning: set[str] = set()
        self.contacted = 0  # every send, retries and scatter too
        self.healed = False
        self.registry_away = False
        self.trace_id = trace_id_of(push.traceparent)  # also of a trace that is not sampled

    def add_answer(self, incarnation: Incarnation, answer: node_pb2.PushAnswer) -> None:
        """A node has carried the push out. NOT_MINE and OLD_EPOCH add nothing."""
        if answer.verdict != node_pb2.DONE:
            return
        self._owning.add(incarnation.node)
        for count in answer.counts:
            self._count(_outcome(count.outcome), count.sessions)
        node = incarnation.node
        for delivered in answer.deliveries:
            self._deliveries.append((node, delivered))

    def add_unreachable(self, leg: Leg) -> None:
        """A node did not answer: unknown for each session that the table knows there, else once for the node."""
        outcome = router_pb2.Delivery.UNREACHABLE
        excepted = self._push.except_sessions
        known = [route for route in leg.known if route.sid not in excepted]
        if leg.known and not known:
            return
        self._count(outcome, len(known) or 1)
        node = leg.incarnation.node
        for route in known:
            self._deliveries.append((node, node_pb2.Delivered(session=route.sid, user=route.user, outcome=outcome)))
        if not known:
            self._deliveries.append((node, node_pb2.Delivered(outcome=outcome)))

    def finish(self) -> router_pb2.PushReport:
        """The report; without any session's outcome the target was OFFLINE, counted once.

        But for a target whose every session was excepted: it was there, and nobody was meant.
        """
        if not self._counts and not self._owning:
            self._count(router_pb2.Delivery.OFFLINE, 1)
            self._deliveries.append(("", node_pb2.Delivered(outcome=router_pb2.Delivery.OFFLINE)))
        if len(self._counts) > 1:
            self._deliveries.sort(key=lambda one: _RANK.get(_outcome(one[1].outcome), 0))
        listed = self._deliveries[: self._push.max_deliveries]
        report = router_pb2.PushReport(
            push_id=self._push.push_id,
            deliveries_truncated=sum(self._counts.values()) > len(listed),
            nodes_contacted=self.contacted,
            owning_nodes=len(self._owning),
            amplification=self.contacted / max(1, len(self._owning)),
            healed=self.healed,
            registry_away=self.registry_away,
            trace_id=self.trace_id,
        )
        counts = report.counts  # item by item: a dict given to the constructor goes through Python once more
        for outcome, sessions in self._counts.items():
            counts[_NAMES[outcome]] = sessions
        for node, delivered in listed:
            _add(report, node, delivered)
        return report

    def _count(self, outcome: Outcome, sessions: int) -> None:
        self._counts[outcome] = self._counts.get(outcome, 0) + sessions


def _add(report: router_pb2.PushReport, node: str, delivered: node_pb2.Delivered) -> None:
    """One delivery, made in its place: a message that is appended would be copied."""
    delivery = report.deliveries.add(
        session=delivered.session,
        user=delivered.user,
        node=node,
        outcome=_outcome(delivered.outcome),
    )
    if delivered.latency_us:
        delivery.latency.seconds, us = divmod(delivered.latency_us, 1_000_000)
        delivery.latency.nanos = us * 1000
    if delivered.ack_data or delivered.ack_content_type:
        delivery.ack_data = delivered.ack_data
        delivery.ack_content_type = delivered.ack_content_type


def _outcome(number: int) -> "Outcome":
    """An outcome as a node says it; one that this router does not know yet is as good as unknown."""
    return number if number in _NAMES else router_pb2.Delivery.UNREACHABLE  # type: ignore[return-value]
