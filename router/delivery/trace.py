"""Shell: the spans of one push in the router: the push, its plan, and a hop for each node (observability/spans.py).

Only a push that is sampled has a `PushTrace`. Times: time.monotonic_ns.
"""

import time
from collections.abc import Sequence
from itertools import islice

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
    """The span of one push, and the start of its children."""

    __slots__ = ("_plan_start_ns", "_push", "_received_ns", "_tracer", "caught_up", "context")

    def __init__(self, tracer: Tracer, context: Context, push: CheckedPush, received_ns: int) -> None:
        self.context = context
        self.caught_up = False  # the plan waited until the table had caught up
        self._tracer = tracer
        self._push = push
        self._received_ns = received_ns
        self._plan_start_ns = received_ns

    def record_plan(self, legs: Plan) -> None:
        """The plan is made, or the second plan of a push that is healed."""
        attributes: dict[str, Value] = {spans.NODES: len(legs)}
        if self.caught_up:
            attributes[spans.CAUGHT_UP] = True
        context = self._tracer.child_of(self.context)
        now = time.monotonic_ns()
        self._tracer.record(context, spans.PLAN, spans.INTERNAL, self._plan_start_ns, now, attributes)

    def restart_plan(self) -> None:
        """Healing begins: an owner answered NOT_MINE or OLD_EPOCH."""
        self._plan_start_ns = time.monotonic_ns()

    def start_hop(self, leg: Leg) -> "HopTrace":
        """The push is handed to the hop of one node."""
        return HopTrace(self._tracer, self._tracer.child_of(self.context), leg)

    def finish(self, result: router_pb2.PushReport | CallRefused) -> None:
        """The push has its report, or is refused."""
        push = self._push
        attributes: dict[str, Value] = {
            spans.MESSAGE_ID: push.push_id,
            spans.BODY_SIZE: len(push.data),
            spans.OPERATION: "send",
            spans.TARGET: target_kind(push.target),
        }
        error = ""
        if isinstance(result, CallRefused):
            error = attributes[spans.ERROR_TYPE] = result.code
        else:
            attributes |= _report_attributes(result)
        now = time.monotonic_ns()
        self._tracer.record(self.context, spans.PUSH, spans.SERVER, self._received_ns, now, attributes, error)


class HopTrace:
    """The span of one node's part, from the router's queue to the node's answer, on the router's clock."""

    __slots__ = ("_leg", "_start_ns", "_tracer", "context")

    def __init__(self, tracer: Tracer, context: Context, leg: Leg) -> None:
        self.context = context
        self._tracer = tracer
        self._leg = leg
        self._start_ns = time.monotonic_ns()

    def finish(self, answer: node_pb2.PushAnswer | None) -> None:
        """The node has answered; None: the node did not answer."""
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


def traceparent_for_nodes(tracer: Tracer, push: CheckedPush, span: Context | None) -> str:
    """The traceparent that nodes receive: below the router's span, or the caller's if this router never records.

    "" if this router records, but not this push: so a trace that the exporter has no room for costs nothing further on.
    """
    if span is not None:
        return span.traceparent
    traceparent = push.traceparent if not tracer.on else ""
    return tracer.propagated(traceparent) if traceparent and tp.sampled(traceparent) else ""


def target_kind(target: Target) -> str:
    """session, user, file or everyone."""
    return next((kind for kind in KINDS if getattr(target, kind)), "everyone")


def record_refused(tracer: Tracer, traceparent: str, received_ns: int, refused: CallRefused) -> None:
    """Record a push whose request was refused: a span if its caller traces the push, none otherwise."""
    context = tracer.begin_if_traced(tp.checked(traceparent))
    if context is not None:
        attributes = {spans.ERROR_TYPE: refused.code}
        now = time.monotonic_ns()
        tracer.record(context, spans.PUSH, spans.SERVER, received_ns, now, attributes, error=refused.code)


def record_batch(tracer: Tracer, traceparent: str, pushes: Sequence[router_pb2.PushRequest], received_ns: int) -> None:
    """Record one message of several pushes, if one of them, or the stream (`traceparent`), is traced.

    Each push is in the trace of its own caller. The batch is in none of these traces, and links to the callers' spans.
    """
    parents = (tp.checked(push.traceparent) for push in pushes if push.traceparent)
    sampled = (parent for parent in parents if parent and tracer.samples(parent) and tp.span_id_of(parent))
    first = next(sampled, "")
    context = tracer.begin_if_traced(traceparent) or (tracer.root() if first else None)
    if context is not None:
        links = (first, *islice(sampled, spans.LINKS - 1)) if first else ()
        attributes = {spans.BATCH_SIZE: len(pushes)}
        tracer.record(context, spans.BATCH, spans.SERVER, received_ns, time.monotonic_ns(), attributes, links=links)


def _report_attributes(report: router_pb2.PushReport) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        spans.CONTACTED: report.nodes_contacted,
        spans.OWNING: report.owning_nodes,
    }
    if report.healed:
        attributes[spans.HEALED] = True
    if report.registry_away:
        attributes[spans.REGISTRY_AWAY] = True
    return attributes | {spans.OUTCOMES + outcome: sessions for outcome, sessions in report.counts.items()}
