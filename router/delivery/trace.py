"""Shell: the spans that one traced push leaves in the router: the push, its plan, a hop per node (observability.spans).

Only a push that is sampled has a `PushTrace`.
"""

import time
from collections.abc import Sequence

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability import spans
from observability import traceparent as tp
from observability.spans import Context, Value
from observability.tracing import Tracer
from router.delivery.plan import Leg, Plan
from router.push import CallRefused, CheckedPush, Target

KINDS = ("session", "user", "file")


class PushTrace:
    """What is known of one push' time so far."""

    __slots__ = ("_planning_ns", "_push", "_received_ns", "_tracer", "context", "waited")

    def __init__(self, tracer: Tracer, context: Context, push: CheckedPush, received_ns: int) -> None:
        self.context = context
        self.waited = False  # for the table to catch up
        self._tracer = tracer
        self._push = push
        self._received_ns = received_ns
        self._planning_ns = received_ns

    def planned(self, legs: Plan) -> None:
        """Who owns the target is known, as far as it will be this time."""
        attributes: dict[str, Value] = {spans.NODES: len(legs)}
        if self.waited:
            attributes[spans.CAUGHT_UP] = True
        self._below(spans.PLAN, spans.INTERNAL, self._planning_ns, attributes)

    def planning(self) -> None:
        """An owner turned out not to be one: planning begins again."""
        self._planning_ns = time.monotonic_ns()

    def hop(self, leg: Leg) -> "HopTrace":
        """The push is handed to one node."""
        return HopTrace(self._tracer, self._tracer.below(self.context), leg)

    def landed(self, result: router_pb2.PushReport | CallRefused) -> None:
        """The report is made, or nothing was sent."""
        push = self._push
        attributes: dict[str, Value] = {
            spans.MESSAGE_ID: push.push_id,
            spans.BODY_SIZE: len(push.data),
            spans.OPERATION: "send",
            spans.TARGET: kind_of(push.target),
        }
        error = ""
        if isinstance(result, CallRefused):
            error = attributes[spans.ERROR_TYPE] = result.code
        else:
            attributes[spans.CONTACTED] = result.nodes_contacted
            attributes[spans.OWNING] = result.owning_nodes
            if result.healed:
                attributes[spans.HEALED] = True
            if result.registry_away:
                attributes[spans.REGISTRY_AWAY] = True
            for outcome, sessions in result.counts.items():
                attributes[spans.OUTCOMES + outcome] = sessions
        now = time.monotonic_ns()
        self._tracer.record(self.context, spans.PUSH, spans.SERVER, self._received_ns, now, attributes, error)

    def _below(self, name: str, kind: int, start_ns: int, attributes: dict[str, Value]) -> None:
        place = self._tracer.below(self.context)
        self._tracer.record(place, name, kind, start_ns, time.monotonic_ns(), attributes)


class HopTrace:
    """One node's part, from the queue to the answer, on the router's clock."""

    __slots__ = ("_leg", "_start_ns", "_tracer", "context")

    def __init__(self, tracer: Tracer, context: Context, leg: Leg) -> None:
        self.context = context
        self._tracer = tracer
        self._leg = leg
        self._start_ns = time.monotonic_ns()

    def answered(self, answer: node_pb2.PushAnswer | None) -> None:
        """The node has answered; None: it has not."""
        incarnation = self._leg.incarnation
        attributes: dict[str, Value] = {
            spans.NODE: incarnation.node,
            spans.EPOCH: incarnation.epoch,
            spans.RPC_SYSTEM: "grpc",
            spans.RPC_METHOD: "homing.internal.v1.Node/Stream",
        }
        if self._leg.scatter:
            attributes[spans.SCATTER] = True
        error = ""
        if answer is None:
            error = attributes[spans.ERROR_TYPE] = "unreachable"
        elif answer.verdict != node_pb2.DONE:
            attributes[spans.VERDICT] = node_pb2.Verdict.Name(answer.verdict)
        now = time.monotonic_ns()
        self._tracer.record(self.context, spans.HOP, spans.CLIENT, self._start_ns, now, attributes, error)


def told_to_nodes(tracer: Tracer, push: CheckedPush, span: Context | None) -> str:
    """The push' traceparent for nodes: below our span, or what the caller has said when no span is kept here."""
    if span is not None:
        return span.traceparent
    given = push.traceparent
    return tracer.passed_on(given) if given and tp.sampled(given) else ""


def kind_of(target: Target) -> str:
    """session, user, file or everyone."""
    return next((kind for kind in KINDS if getattr(target, kind)), "everyone")


def record_refused(tracer: Tracer, traceparent: str, received_ns: int, refused: CallRefused) -> None:
    """A push that was refused before it was one: a span for a caller who traces it, none for anybody else."""
    context = tracer.continued(tp.checked(traceparent))
    if context is not None:
        attributes = {spans.ERROR_TYPE: refused.code}
        tracer.record(
            context, spans.PUSH, spans.SERVER, received_ns, time.monotonic_ns(), attributes, error=refused.code
        )


def record_batch(tracer: Tracer, traceparent: str, pushes: Sequence[router_pb2.PushRequest], received_ns: int) -> None:
    """One message of many pushes, while at least one of them, or its stream, is traced.

    Each push stays in its own caller's trace; the batch, which belongs to none of them, links to those callers.
    """
    given = [tp.checked(push.traceparent) for push in pushes if push.traceparent]
    links = tuple(parent for parent in given if tp.sampled(parent) and tp.span_id_of(parent))[: spans.LINKS]
    context = tracer.continued(traceparent) or (tracer.fresh() if links else None)
    if context is not None:
        attributes = {spans.BATCH_SIZE: len(pushes)}
        tracer.record(context, spans.BATCH, spans.SERVER, received_ns, time.monotonic_ns(), attributes, links=links)
