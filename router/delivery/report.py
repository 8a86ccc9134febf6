"""Core: the nodes' answers become one report (docs/api.md, "PushReport")."""

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability.traceparent import trace_id_of
from registry.model import Incarnation
from router.delivery.plan import Leg
from router.push import CheckedPush

Outcome = router_pb2.Delivery.Outcome

WORST_FIRST = (  # docs/api.md, "Outcomes"
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
    """Gathers the answers to one push; `finish` makes the report."""

    __slots__ = ("_counts", "_deliveries", "_owning", "_push", "healed", "nodes_contacted", "registry_away", "trace_id")

    def __init__(self, push: CheckedPush) -> None:
        self._push = push
        self._counts: dict[Outcome, int] = {}
        self._deliveries: list[tuple[str, node_pb2.Delivered]] = []  # with the node; "" = none
        self._owning: set[str] = set()
        self.nodes_contacted = 0  # every send, healing and scatter included
        self.healed = False
        self.registry_away = False
        self.trace_id = trace_id_of(push.traceparent)  # also when the trace is not sampled

    def add_answer(self, incarnation: Incarnation, answer: node_pb2.PushAnswer) -> None:
        """Add a node's outcomes. NOT_MINE and OLD_EPOCH have none."""
        if answer.verdict != node_pb2.DONE:
            return
        self._owning.add(incarnation.node)
        for count in answer.counts:
            self._count(_outcome(count.outcome), count.sessions)
        node = incarnation.node
        for delivered in answer.deliveries:
            self._deliveries.append((node, delivered))

    def add_unreachable(self, leg: Leg) -> None:
        """Add a node that did not answer: UNREACHABLE for each session known there, else once for the node."""
        outcome = router_pb2.Delivery.UNREACHABLE
        excepted = self._push.except_sessions
        known = [route for route in leg.known if route.sid not in excepted]
        if leg.known and not known:
            self._owning.add(leg.incarnation.node)
            return
        self._count(outcome, len(known) or 1)
        node = leg.incarnation.node
        for route in known:
            self._deliveries.append((node, node_pb2.Delivered(session=route.sid, user=route.user, outcome=outcome)))
        if not known:
            self._deliveries.append((node, node_pb2.Delivered(outcome=outcome)))

    def finish(self) -> router_pb2.PushReport:
        """The report. Without an owner and without any outcome the target is OFFLINE, counted once.

        A target whose sessions were all excepted has an owner: its counts are empty.
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
            nodes_contacted=self.nodes_contacted,
            owning_nodes=len(self._owning),
            amplification=self.nodes_contacted / max(1, len(self._owning)),
            healed=self.healed,
            registry_away=self.registry_away,
            trace_id=self.trace_id,
        )
        counts = report.counts  # item by item: a dict passed to the constructor is iterated in Python once more
        for outcome, sessions in self._counts.items():
            counts[_NAMES[outcome]] = sessions
        for node, delivered in listed:
            _add(report, node, delivered)
        return report

    def _count(self, outcome: Outcome, sessions: int) -> None:
        self._counts[outcome] = self._counts.get(outcome, 0) + sessions


def _add(report: router_pb2.PushReport, node: str, delivered: node_pb2.Delivered) -> None:
    """Add one delivery. Built in place, because protobuf copies a message that is appended."""
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
    """The outcome with this number; UNREACHABLE, which means unknown, for a number of a later version."""
    return number if number in _NAMES else router_pb2.Delivery.UNREACHABLE  # type: ignore[return-value]
