"""The spans of a push in the router: their parents, and that an unsampled push has none."""

import pytest

from homing.v1 import router_pb2
from observability import spans
from observability.spans import Span
from observability.tracing import Tracer
from router.delivery.trace import record_batch, record_refused
from router.push import check_push, invalid_argument
from tests.support.calls import push
from tests.unit.router.delivery.test_routed import World, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"


@pytest.fixture
async def traced():
    recorded: list[Span] = []
    async with running(World(Tracer(recorded.append, seed=1))) as world:
        yield world, recorded, world.feed.node("a"), world.feed.node("b")


def by_name(recorded, name):
    return [span for span in recorded if span.name == name]


async def test_a_push_to_two_nodes(traced):
    world, recorded, a, b = traced
    world.connect(a, "ada", 1)
    world.connect(b, "ada", 2)
    report = await world.push(user="ada", traceparent=SAMPLED)
    assert report.trace_id == TRACE
    ((root,), (plan,), hops) = (by_name(recorded, name) for name in (spans.PUSH, spans.PLAN, spans.HOP))
    assert len(recorded) == 4
    assert (root.context.trace_id, root.context.parent_id, root.kind) == (TRACE, SPAN, spans.SERVER)
    assert plan.context.parent_id == root.context.span_id
    assert plan.attributes == {spans.NODES: 2}
    assert {hop.context.parent_id for hop in hops} == {root.context.span_id}
    assert [(hop.attributes[spans.NODE], hop.attributes[spans.EPOCH]) for hop in hops] == [a, b]
    sent = {incarnation: message.traceparent for incarnation, message in world.served}
    assert sent == {incarnation: hop.context.traceparent for incarnation, hop in zip((a, b), hops, strict=True)}
    assert root.attributes[spans.TARGET] == "user"
    assert root.attributes[f"{spans.OUTCOMES}WRITTEN"] == 2
    assert "ada" not in str(recorded)
    assert all(root.start_ns <= span.start_ns <= span.end_ns <= root.end_ns for span in recorded[1:])


async def test_an_unsampled_push_has_no_span_and_no_traceparent(traced):
    world, recorded, a, _ = traced
    world.connect(a, "ada", 1)
    assert (await world.push(user="ada", traceparent=UNSAMPLED)).trace_id == TRACE
    assert (await world.push(user="ada")).trace_id == ""
    assert recorded == []
    assert [message.traceparent for _, message in world.served] == ["", ""]


async def test_a_share_of_the_pushes_without_a_trace_begins_one():
    recorded: list[Span] = []
    async with running(World(Tracer(recorded.append, ratio=1.0, seed=1))) as world:
        report = await world.push(user="nobody")
    (root,) = by_name(recorded, spans.PUSH)
    assert report.trace_id == root.context.trace_id
    assert len(report.trace_id) == 32


async def test_a_healed_push_is_planned_twice(traced):
    world, recorded, a, b = traced
    world.connect(a, "ada", 1)
    world.end(a, "ada", 1)
    world.connect(b, "ada", 2, known=False)
    report = await world.push(user="ada", traceparent=SAMPLED)
    assert report.healed
    assert [span.attributes.get(spans.CAUGHT_UP) for span in by_name(recorded, spans.PLAN)] == [None, True]
    assert [span.attributes.get(spans.VERDICT) for span in by_name(recorded, spans.HOP)] == ["NOT_MINE", None]


async def test_a_node_that_does_not_answer_is_an_error_of_its_hop(traced):
    world, recorded, a, _ = traced
    world.connect(a, "ada", 1)
    world.hops[a].disconnect()
    await world.push(user="ada", traceparent=SAMPLED)
    (hop,) = by_name(recorded, spans.HOP)
    assert (hop.error, hop.attributes[spans.ERROR_TYPE]) == ("unreachable", "unreachable")


async def test_without_a_collector_the_callers_trace_is_propagated():
    async with running(World()) as world:
        a = world.feed.node("a")
        world.connect(a, "ada", 1)
        assert (await world.push(user="ada", traceparent=SAMPLED)).trace_id == TRACE
        await world.push(user="ada", traceparent=UNSAMPLED)
    assert [message.traceparent for _, message in world.served] == [SAMPLED, ""]


async def test_a_trace_that_the_exporter_has_no_room_for_costs_the_nodes_nothing():
    recorded: list[Span] = []
    async with running(World(Tracer(recorded.append, refuses=lambda: True))) as world:
        a = world.feed.node("a")
        world.connect(a, "ada", 1)
        assert (await world.push(user="ada", traceparent=SAMPLED)).trace_id == TRACE
    assert [message.traceparent for _, message in world.served] == [""]
    assert recorded == []


def test_a_batch_that_the_exporter_has_no_room_for_is_not_recorded():
    recorded: list[Span] = []
    request = router_pb2.PushRequest(traceparent=SAMPLED)
    record_batch(Tracer(recorded.append, refuses=lambda: True), "", [request, request], 1)
    assert recorded == []


def test_a_refused_push_is_a_span_with_an_error_if_its_caller_traces_it():
    recorded: list[Span] = []
    tracer = Tracer(recorded.append, ratio=1.0, seed=1)
    record_refused(tracer, "", 1, invalid_argument("data", "no"))
    record_refused(tracer, UNSAMPLED, 1, invalid_argument("data", "no"))
    assert recorded == []
    record_refused(tracer, SAMPLED, 1, invalid_argument("data", "no"))
    (span,) = recorded
    assert (span.name, span.error, span.context.parent_id) == (spans.PUSH, "INVALID_ARGUMENT", SPAN)


def test_a_batch_links_to_its_callers_and_belongs_to_its_stream():
    recorded: list[Span] = []
    tracer = Tracer(recorded.append, seed=1)

    def requests(*traceparents):
        return [router_pb2.PushRequest(traceparent=one) for one in traceparents]

    record_batch(tracer, "", requests("", UNSAMPLED, "nonsense"), 1)
    assert recorded == []
    record_batch(tracer, "", requests(SAMPLED, ""), 1)
    record_batch(tracer, SAMPLED, requests("", ""), 1)
    alone, below = recorded
    assert (alone.links, alone.context.parent_id, alone.attributes[spans.BATCH_SIZE]) == ((SAMPLED,), "", 2)
    assert alone.context.trace_id != TRACE, "a batch is in no caller's trace, so it has its own"
    assert (below.links, below.context.trace_id, below.context.parent_id) == ((), TRACE, SPAN)


def test_a_callers_traceparent_is_checked():
    assert check_push(push(push_id="p", user="u", traceparent="nonsense"), 1000).traceparent == ""
    assert check_push(push(push_id="p", user="u", traceparent=f"01{SAMPLED[2:]}-x"), 1000).traceparent == SAMPLED
