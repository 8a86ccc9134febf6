"""The spans of a push on a node: its delivery and the first acks, all on the node's clock."""

from gateway.delivery.fanout import Fanout
from gateway.delivery.traces import DeliveryTrace, TracedJob
from gateway.outcome import ACKED, WRITTEN
from homing.internal.v1 import node_pb2
from observability import names, spans
from observability.counters import counters
from observability.spans import Span
from observability.tracing import Tracer
from tests.support.wire import open_session
from tests.unit.gateway.delivery.test_fanout import make_push

TRACE = "0af7651916cd43dd8448eb211c80319c"
HOP = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{HOP}-01"


class Rig:
    """One traced push, on a clock that the test moves."""

    def __init__(self, **fields: object) -> None:
        self.now = 0
        self.recorded: list[Span] = []
        self.answers: list[node_pb2.PushAnswer] = []
        self.push = make_push(traceparent=SAMPLED, **fields)
        tracer = Tracer(self.recorded.append, seed=1)
        context = tracer.begin_if_traced(self.push.traceparent)
        assert context is not None
        self.trace = DeliveryTrace(tracer, context, self.push, "r1", "g1")
        self.context = context

    def deliver(self, receivers, ack: int | None = None) -> TracedJob:
        job = self.trace.job(receivers, 0, lambda: self.now, self.answers.append, ack)
        fanout = Fanout()
        fanout.add(job)
        while fanout.write_slice(counters(names.GATEWAY)) is not None:
            pass
        return job


def test_a_delivery_is_below_its_hop_and_above_what_the_client_does():
    rig = Rig()
    session = open_session(1)
    rig.deliver([session])
    (span,) = rig.recorded
    assert (span.name, span.kind) == (spans.DELIVER, spans.SERVER)
    assert (span.context.trace_id, span.context.parent_id) == (TRACE, HOP)
    assert rig.push.traceparent == f"00-{TRACE}-{span.context.span_id}-01", "what the frames carry"
    assert span.start_ns <= span.end_ns
    told = dict(span.attributes)
    assert (told[spans.NODE], told[spans.ROUTER], told[spans.MESSAGE_ID]) == ("g1", "r1", "p")
    assert (told[spans.SESSIONS], told[f"{spans.OUTCOMES}WRITTEN"]) == (1, 1)
    assert rig.answers[0].counts[0].outcome == WRITTEN


def test_an_ack_is_a_span_from_its_write_to_its_coming():
    rig = Rig(ack_timeout_ms=1000)
    session = open_session(41)
    rig.now = 1_000
    job = rig.deliver([session], ack=5)
    rig.now = 9_000
    job.acked(session, b"", "")
    job.acked(session, b"", "")
    ack, deliver = rig.recorded
    assert (ack.name, ack.start_ns, ack.end_ns) == (spans.CLIENT_ACK, 1_000, 9_000)
    assert ack.context.parent_id == deliver.context.span_id
    assert ack.attributes == {spans.SESSION: "41"}
    assert deliver.attributes[f"{spans.OUTCOMES}ACKED"] == 1
    assert rig.answers[0].counts[0].outcome == ACKED


def test_acks_are_bounded_and_the_counts_complete():
    rig = Rig(ack_timeout_ms=1000)
    sessions = [open_session(sid) for sid in range(1, spans.ACKS + 6)]
    rig.now = 1
    job = rig.deliver(sessions, ack=5)
    for session in sessions:
        job.acked(session, b"", "")
    assert [span.name for span in rig.recorded] == [spans.CLIENT_ACK] * spans.ACKS + [spans.DELIVER]
    assert rig.recorded[-1].attributes[f"{spans.OUTCOMES}ACKED"] == len(sessions)


def test_an_ack_that_never_came_leaves_none():
    rig = Rig(ack_timeout_ms=1000)
    session = open_session(1)
    job = rig.deliver([session], ack=5)
    assert rig.recorded == []
    job.finalize()
    (deliver,) = rig.recorded
    assert deliver.attributes[f"{spans.OUTCOMES}WRITTEN"] == 1


def test_a_push_that_is_not_ours_says_why():
    rig = Rig()
    rig.trace.refused(node_pb2.PushAnswer(verdict=node_pb2.NOT_MINE))
    (span,) = rig.recorded
    assert span.attributes[spans.VERDICT] == "NOT_MINE"
