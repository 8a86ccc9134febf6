"""Core: the nodes' answers become one report, worst outcomes first, counts complete (api.md, PushReport)."""

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability.traceparent import trace_id_of
from registry.model import Life
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


class Report:
    """Gathers one push's answers; `finish` makes the message."""

    __slots__ = ("_counts", "_deliveries", "_owning", "_push", "contacted", "healed", "registry_away", "trace_id")

    def __init__(self, push: CheckedPush) -> None:
        self._push = push
        self._counts: dict[Outcome, int] = {}
        self._deliveries: list[router_pb2.Delivery] = []
        self._owning: set[str] = set()
        self.contacted = 0  # every send, retries and scatter too
        self.healed = False
        self.registry_away = False
        self.trace_id = trace_id_of(push.traceparent)  # also of a trace that is not sampled

    def add_answer(self, life: Life, answer: node_pb2.PushAnswer) -> None:
        """A node has carried the push out. NOT_MINE and OLD_EPOCH add nothing."""
        if answer.verdict != node_pb2.DONE:
            return
        self._owning.add(life.node)
        for count in answer.counts:
            self._count(_outcome(count.outcome), count.sessions)
        for delivered in answer.deliveries:
            delivery = router_pb2.Delivery(
                session=delivered.session,
                user=delivered.user,
                node=life.node,
                outcome=_outcome(delivered.outcome),
                ack_data=delivered.ack_data,
                ack_content_type=delivered.ack_content_type,
            )
            delivery.latency.FromMicroseconds(delivered.latency_us)
            self._deliveries.append(delivery)

    def add_unreachable(self, leg: Leg) -> None:
        """A node did not answer: unknown for each session that the table knows there, else once for the node."""
        outcome = router_pb2.Delivery.UNREACHABLE
        excepted = self._push.except_sessions
        known = [route for route in leg.known if route.sid not in excepted]
        if leg.known and not known:
            return
        self._count(outcome, len(known) or 1)
        for route in known:
            self._deliveries.append(
                router_pb2.Delivery(session=route.sid, user=route.user, node=leg.life.node, outcome=outcome)
            )
        if not known:
            self._deliveries.append(router_pb2.Delivery(node=leg.life.node, outcome=outcome))

    def finish(self) -> router_pb2.PushReport:
        """The report; without any session's outcome the target was OFFLINE, counted once.

        But for a target whose every session was excepted: it was there, and nobody was meant.
        """
        if not self._counts and not self._owning:
            self._count(router_pb2.Delivery.OFFLINE, 1)
            self._deliveries.append(router_pb2.Delivery(outcome=router_pb2.Delivery.OFFLINE))
        if len(self._counts) > 1:
            self._deliveries.sort(key=lambda delivery: _RANK.get(delivery.outcome, 0))
        listed = self._deliveries[: self._push.max_deliveries]
        return router_pb2.PushReport(
            push_id=self._push.push_id,
            counts={Outcome.Name(outcome): sessions for outcome, sessions in self._counts.items()},
            deliveries=listed,
            deliveries_truncated=sum(self._counts.values()) > len(listed),
            nodes_contacted=self.contacted,
            owning_nodes=len(self._owning),
            amplification=self.contacted / max(1, len(self._owning)),
            healed=self.healed,
            registry_away=self.registry_away,
            trace_id=self.trace_id,
        )

    def _count(self, outcome: Outcome, sessions: int) -> None:
        self._counts[outcome] = self._counts.get(outcome, 0) + sessions


def _outcome(number: int) -> Outcome:
    """An outcome as a node says it; one that this router does not know yet is as good as unknown."""
    known = number in Outcome.values() and number
    return number if known else router_pb2.Delivery.UNREACHABLE  # type: ignore[return-value]
