"""One trace from the caller to the clients' acks, and one from a client's event to the push back (docs/design.md,
"Tracing").
"""

import asyncio
import secrets
import signal
from itertools import pairwise

import pytest
import pytest_asyncio
import redis.asyncio

from homing.client.events import trace_of
from homing.v1 import router_pb2
from tests.support.cluster import Cluster, connect
from tests.support.otlp import Receiver, start_collector, wait_trace
from tests.support.servers import free_port

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

PARENT = "b7ad6b7169203331"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traced(tmp_path_factory, etcd, redis):
    """Three gateways and a router that send their spans to a collector."""
    directory = tmp_path_factory.mktemp("traced")
    collector = start_collector(directory)
    cluster = Cluster(directory, etcd.endpoint, redis.endpoint)
    with cluster.config.open("a") as config:
        config.write(f'[trace]\notlp = "{collector.url}"\n')
    try:
        await asyncio.gather(*(cluster.start_gateway("--node-id", f"g{number}") for number in range(3)))
        cluster.gateways.sort(key=lambda gateway: gateway.node)
        await cluster.start_router()
        yield cluster, collector
    finally:
        await cluster.stop()
        collector.stop()


async def ack_next(client):
    """The next event, answered."""
    message = await client.receive()
    assert message["event"] == "canary-event", message
    await client.send(type="ack", ack=message["ack"])
    return message


def children(spans, parent):
    return [span for span in spans if span.parent == parent.span]


def assert_nested(spans, slack_us=0):
    """Each span lies within its parent, which is on this machine's clock too (Jaeger rounds to microseconds)."""
    by_id = {span.span: span for span in spans}
    for span in spans:
        parent = by_id.get(span.parent)
        if parent is not None:
            assert span.start_us >= parent.start_us - slack_us, (span, parent)
            assert span.start_us + span.duration_us <= parent.start_us + parent.duration_us + slack_us, (span, parent)


async def event_of(cluster, user):
    """The headers of what this user has said, as a consumer reads them."""
    last: str | bytes = "0"
    async with redis.asyncio.Redis.from_url(f"redis://{cluster.redis}") as bus:
        while True:
            ((_, records),) = await bus.xread({cluster.stream: last}, block=5000)
            last = records[-1][0]
            for _, fields in records:
                if (fields[b"X-Uid"], fields[b"X-Event"]) == (user.encode(), b"message"):
                    return fields


async def push_with_acks(cluster, trace_id, **metadata):
    file = f"canary-file-{trace_id[:8]}"
    async with (
        connect(cluster, cluster.gateways[0], "canary-ada", file) as ada,
        connect(cluster, cluster.gateways[1], "canary-ben", file) as ben,
    ):
        request = router_pb2.PushRequest(
            target={"file": file}, event="canary-event", data=b'"canary-data"', push_id=f"p-{trace_id[:8]}"
        )
        request.ack_timeout.FromSeconds(5)
        calling = cluster.router().Push(request, metadata=tuple(metadata.items()))
        messages = await asyncio.gather(ack_next(ada), ack_next(ben))
        return (await calling).report, messages, {ada.sid, ben.sid}


async def test_a_file_push_over_two_of_three_gateways_is_one_trace_down_to_the_acks(traced):
    cluster, collector = traced
    trace_id = secrets.token_hex(16)
    report, messages, sids = await push_with_acks(cluster, trace_id, traceparent=f"00-{trace_id}-{PARENT}-01")

    assert report.trace_id == trace_id
    assert dict(report.counts) == {"ACKED": 2}
    spans = await asyncio.to_thread(wait_trace, collector, trace_id, 8)
    assert sorted(span.name for span in spans) == sorted(
        ["push", "plan", "hop", "hop", "deliver", "deliver", "client ack", "client ack"]
    )
    (push,) = [span for span in spans if span.name == "push"]
    assert push.where.startswith("homing-router ")
    assert push.attributes["span.kind"] == "server"
    assert push.attributes["messaging.message.id"] == report.push_id
    assert push.attributes["homing.outcome.ACKED"] == 2
    assert sorted(span.name for span in children(spans, push)) == ["hop", "hop", "plan"]
    for node in ("g0", "g1"):
        (hop,) = [span for span in children(spans, push) if span.attributes.get("homing.node") == node]
        (deliver,) = children(spans, hop)
        (ack,) = children(spans, deliver)
        assert [hop.name, deliver.name, ack.name] == ["hop", "deliver", "client ack"]
        assert deliver.where == f"homing-gateway {node}"
        assert deliver.attributes["homing.outcome.ACKED"] == 1
        assert 0 <= deliver.attributes["homing.first_write_us"] <= deliver.duration_us
        assert int(ack.attributes["homing.session"]) in sids
        assert any(message["traceparent"] == f"00-{trace_id}-{deliver.span}-01" for message in messages)
    assert_nested(spans, slack_us=2)
    assert "canary" not in str(spans), "users, files, events and payloads stay out"


async def test_the_callers_own_span_is_the_parent(traced):
    cluster, collector = traced
    trace_id = secrets.token_hex(16)
    await push_with_acks(cluster, trace_id, traceparent=f"00-{trace_id}-{PARENT}-01")
    await asyncio.to_thread(wait_trace, collector, trace_id, 8)
    trace = collector.read(trace_id)
    (push,) = [span for span in trace["spans"] if span["operationName"] == "push"]
    assert [one["spanID"] for one in push["references"]] == [PARENT]


async def test_x_trace_id_alone_names_the_trace(traced):
    cluster, collector = traced
    trace_id = secrets.token_hex(16)
    report, messages, _ = await push_with_acks(cluster, trace_id, **{"x-trace-id": trace_id})
    assert report.trace_id == trace_id
    await asyncio.to_thread(wait_trace, collector, trace_id, 8)
    trace = collector.read(trace_id)
    (push,) = [span for span in trace["spans"] if span["operationName"] == "push"]
    assert not push["references"], "it is the root: its caller named no span"
    assert all(message["traceparent"].startswith(f"00-{trace_id}-") for message in messages)


async def test_an_unsampled_push_leaves_its_id_in_the_report_and_nothing_else(traced):
    cluster, collector = traced
    unsampled, sampled = secrets.token_hex(16), secrets.token_hex(16)
    report, messages, _ = await push_with_acks(cluster, unsampled, traceparent=f"00-{unsampled}-{PARENT}-00")
    assert report.trace_id == unsampled
    assert all("traceparent" not in message for message in messages)
    await push_with_acks(cluster, sampled, traceparent=f"00-{sampled}-{PARENT}-01")
    await asyncio.to_thread(wait_trace, collector, sampled, 8)
    assert collector.read(unsampled) is None


async def test_from_a_clients_event_through_a_consumer_to_the_push_back(traced):
    cluster, collector = traced
    trace_id = secrets.token_hex(16)
    async with connect(cluster, cluster.gateways[2], "cyd") as client:
        await client.send(type="event", event="ask", data=1, traceparent=f"00-{trace_id}-{PARENT}-01")
        fields = await event_of(cluster, "cyd")
        with trace_of(fields) as trace:
            assert trace.trace_id == trace_id == fields[b"X-Trace-ID"].decode()
            request = router_pb2.PushRequest(target={"user": "cyd"}, event="answer", data=b"1")
            await cluster.router().Push(request, metadata=(("traceparent", trace.traceparent),))
        assert (await client.receive())["traceparent"].startswith(f"00-{trace_id}-")

    spans = await asyncio.to_thread(wait_trace, collector, trace_id, 5)
    chain = sorted(spans, key=lambda span: ["event", "push", "plan", "hop", "deliver"].index(span.name))
    event, push, plan, hop, deliver = chain
    assert event.where == "homing-gateway g2"
    assert event.attributes["span.kind"] == "producer"
    assert [push.parent, plan.parent, hop.parent, deliver.parent] == [event.span, push.span, push.span, hop.span]
    assert all(later.start_us >= earlier.start_us for earlier, later in pairwise((event, push, hop, deliver)))


async def test_a_client_without_a_trace_starts_a_fresh_one(traced):
    cluster, collector = traced
    async with connect(cluster, cluster.gateways[0], "dee") as client:
        await client.send(type="event", event="ask", data=1)
        trace = trace_of(await event_of(cluster, "dee"))
    assert trace.sampled
    (event,) = await asyncio.to_thread(wait_trace, collector, trace.trace_id, 1)
    assert f"00-{trace.trace_id}-{event.span}-01" == trace.traceparent


async def test_a_batch_links_to_its_callers(traced):
    cluster, collector = traced
    stream_trace, own = secrets.token_hex(16), secrets.token_hex(16)
    pushes = [
        router_pb2.PushRequest(
            target={"user": "nobody"},
            event="e",
            data=b"1",
            push_id=f"b{number}",
            traceparent=f"00-{own}-{number + 1:016x}-01",
        )
        for number in range(2)
    ]

    async def requests():
        yield router_pb2.PushStreamRequest(pushes=[*pushes, router_pb2.PushRequest(push_id="bad")])

    metadata = (("traceparent", f"00-{stream_trace}-{PARENT}-01"),)
    answers = [one async for one in cluster.router().PushStream(requests(), metadata=metadata)]
    assert sum(len(answer.reports) for answer in answers) == 3
    (batch,) = await asyncio.to_thread(wait_trace, collector, stream_trace, 1)
    assert (batch.name, batch.attributes["messaging.batch.message_count"]) == ("push batch", 3)
    trace = collector.read(stream_trace)
    links = [one["spanID"] for one in trace["spans"][0]["references"] if one["refType"] == "FOLLOWS_FROM"]
    assert links == [f"{number + 1:016x}" for number in range(2)]
    assert {span.name for span in await asyncio.to_thread(wait_trace, collector, own, 4)} == {"push", "plan"}


@pytest.mark.asyncio(loop_scope="function")
async def test_row_26_a_collector_that_is_away_costs_one_warning_and_nothing_else(tmp_path, etcd, redis):
    port = free_port()
    cluster = Cluster(tmp_path, etcd.endpoint, redis.endpoint)
    with cluster.config.open("a") as config:
        config.write(f'[trace]\notlp = "http://127.0.0.1:{port}"\n')
    try:
        gateway, router = await cluster.start_gateway(), await cluster.start_router()
        services = (gateway, router)
        async with connect(cluster, gateway, "ada") as client:
            pushing = [push_one(cluster, client, f"00-{secrets.token_hex(16)}-{PARENT}-01") for _ in range(50)]
            assert [dict(report.counts) for report in await asyncio.gather(*pushing)] == [{"WRITTEN": 1}] * 50
            assert [(await client.receive())["event"] for _ in range(50)] == ["e"] * 50
            await asyncio.gather(*(wait_log(service, "does not answer") for service in services))
            await asyncio.sleep(2.5)  # two more tries that must not be told
            collector = Receiver(port)
            try:
                trace_id = secrets.token_hex(16)
                await push_one(cluster, client, f"00-{trace_id}-{PARENT}-01")
                await asyncio.to_thread(wait_trace, collector, trace_id, 4)
                assert len(collector.spans) == 51, "what waited has come too"
            finally:
                collector.stop()
        for service in services:
            await wait_log(service, "is back")
            text = service.log.read_text()
            assert text.count("does not answer") == 1
            assert "Traceback" not in text
    finally:
        for service in (*cluster.gateways, *cluster.routers):
            service.signal(signal.SIGCONT)
        await cluster.stop()


async def push_one(cluster, client, traceparent):
    request = router_pb2.PushRequest(target={"session": client.sid}, event="e", data=b"1")
    return (await cluster.router().Push(request, metadata=(("traceparent", traceparent),))).report


async def wait_log(service, text):
    async with asyncio.timeout(10):
        while text not in service.log.read_text():
            await asyncio.sleep(0.05)
