"""Shell: the spans that one traced push leaves on this node: its delivery, and the acks of a few of its clients.

Everything is on this node's own clock, so durations do not depend on the router's clock. A push that is not sampled
is a plain `PushJob` and comes through none of this.
"""

import time
from collections.abc import Callable, Collection
from functools import partial

from gateway.delivery.push_job import OnAnswer, PushJob
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery
from observability import spans
from observability.counters import Counters
from observability.spans import Context, Value
from observability.tracing import Tracer


class TracedJob(PushJob):
    """A job that remembers when it wrote first and last, and when its first few acks came (clock of the job, ns)."""

    __slots__ = ("acks", "first_ns", "last_ns")

    first_ns: int
    last_ns: int
    acks: list[tuple[int, int, int]]  # sid, written at, acked at

    def _write_slice(self, counters: Counters) -> list[Session]:
        self.first_ns = self.first_ns or self.clock()
        slow = super()._write_slice(counters)
        self.last_ns = self.clock()
        return slow

    def acked(self, session: Session, data: bytes, content_type: str) -> bool:
        waiting = session in self.unacked or session in self.owing
        if waiting and len(self.acks) < spans.ACKS:
            self.acks.append((session.sid, self.unacked.get(session, self.first_ns), self.clock()))
        return super().acked(session, data, content_type)


class DeliveryTrace:
    """One traced push on this node. `push.traceparent` becomes this span's: what the clients' frames carry."""

    __slots__ = ("_context", "_node", "_push", "_router", "_start_ns", "_tracer")

    def __init__(self, tracer: Tracer, context: Context, push: node_pb2.Push, router: str, node: str) -> None:
        self._tracer = tracer
        self._context = context
        self._push = push
        self._router = router
        self._node = node
        self._start_ns = time.monotonic_ns()
        push.traceparent = context.traceparent

    def job(
        self,
        receivers: Collection[Session],
        age_ns: int,
        clock: Callable[[], int],
        answer: OnAnswer,
        ack: int | None,
    ) -> PushJob:
        """The push as a job whose answer ends this span."""
        job = TracedJob(self._push, receivers, age_ns, clock, answer, ack)
        job.answer = partial(self._answered, job, answer)
        job.first_ns = job.last_ns = 0
        job.acks = []
        return job

    def refused(self, answer: node_pb2.PushAnswer) -> None:
        """Not ours to deliver."""
        self._end({spans.VERDICT: node_pb2.Verdict.Name(answer.verdict)})

    def _answered(self, job: TracedJob, answer: OnAnswer, message: node_pb2.PushAnswer) -> None:
        attributes: dict[str, Value] = {spans.SESSIONS: sum(count.sessions for count in message.counts)}
        if job.first_ns:
            attributes[spans.FIRST_WRITE] = (job.first_ns - self._start_ns) // 1000
            attributes[spans.LAST_WRITE] = (job.last_ns - self._start_ns) // 1000
        for count in message.counts:
            attributes[spans.OUTCOMES + Delivery.Outcome.Name(count.outcome)] = count.sessions
        for sid, written_ns, acked_ns in job.acks:
            place = self._tracer.child_of(self._context)
            attributes_of_ack: dict[str, Value] = {spans.SESSION: str(sid)}
            self._tracer.record(place, spans.CLIENT_ACK, spans.CLIENT, written_ns, acked_ns, attributes_of_ack)
        self._end(attributes)
        answer(message)

    def _end(self, attributes: dict[str, Value]) -> None:
        attributes[spans.MESSAGE_ID] = self._push.push_id
        attributes[spans.NODE] = self._node
        attributes[spans.ROUTER] = self._router
        now = time.monotonic_ns()
        self._tracer.record(self._context, spans.DELIVER, spans.SERVER, self._start_ns, now, attributes)
