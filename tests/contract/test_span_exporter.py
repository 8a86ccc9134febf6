"""The exporter against a collector that grpcio serves: spans arrive, a collector that goes loses none, close ends."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from observability import export_thread, names
from observability.counters import Counters, counters
from observability.destination import DestinationError
from observability.span_export import SpanExport, set_up
from observability.spans import SERVER
from observability.tracing import OFF, Tracer, TraceSettings
from tests.support.otlp import Receiver


@pytest.fixture
def collector() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def record(tracer: Tracer, name: str = "push") -> str:
    """Record one root span; returns its trace id."""
    context = tracer.root()
    assert context is not None
    tracer.record(context, name, SERVER, 1, 2, {})
    return context.trace_id


async def set_up_at(collector: Receiver) -> tuple[Tracer, SpanExport, Counters]:
    counted = counters(names.ROUTER)
    tracer, exporter = set_up(TraceSettings(otlp=collector.url), counted, service_name="homing-router")
    return tracer, exporter, counted


def test_without_a_collector_nothing_is_recorded() -> None:
    tracer, _ = set_up(TraceSettings(), counters(names.ROUTER), service_name="homing-router")
    assert tracer is OFF


async def test_close_sends_what_is_queued(collector: Receiver) -> None:
    tracer, exporter, counted = await set_up_at(collector)
    traces = [record(tracer) for _ in range(export_thread.SLICE + 1)]
    await exporter.close()
    assert set(collector.spans) == set(traces)
    assert (counted.spans_sent, counted.spans_lost) == (export_thread.SLICE + 1, 0)
    [(_, process)] = collector.spans[traces[0]]
    assert process["serviceName"] == "homing-router"


async def test_close_names_the_spans_that_a_collector_that_is_away_did_not_take(
    collector: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    collector.stop()
    tracer, exporter, counted = await set_up_at(collector)
    record(tracer)
    with caplog.at_level(logging.WARNING):
        await exporter.close()
    assert (counted.spans_sent, counted.spans_lost) == (0, 0)
    texts = [entry.getMessage() for entry in caplog.records if entry.name.startswith("observability")]
    away, left = texts
    assert away.startswith(f"the trace collector at {collector.url} does not answer; spans wait, pushes do not: ")
    assert "UNAVAILABLE" in away, "the exporter's own reason"
    assert left == f"1 spans were not exported: the trace collector at {collector.url} did not accept them"


async def test_spans_wait_for_a_collector_that_comes_back(
    collector: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    collector.stop()
    with caplog.at_level(logging.INFO):
        tracer, exporter, counted = await set_up_at(collector)
        trace = record(tracer)
        async with asyncio.timeout(10):
            while "does not answer" not in caplog.text:
                await asyncio.sleep(0.01)
            collector.restart()
            while trace not in collector.spans:
                await asyncio.sleep(0.01)
        await exporter.close()
    assert counted.spans_sent == 1
    assert f"the trace collector at {collector.url} is back" in caplog.text


class HttpCollector:
    """OTLP over HTTP: keeps what is posted."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str, bytes]] = []

    async def post(self, request: web.Request) -> web.Response:
        self.posted.append((request.path, request.headers["X-Key"], await request.read()))
        return web.Response()


async def test_the_environment_chooses_otlp_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = HttpCollector()
    application = web.Application()
    application.router.add_post("/{path:.*}", collector.post)
    async with TestServer(application) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
        tracer, export = set_up(TraceSettings(otlp="http://127.0.0.1:1"), counters(names.ROUTER))
        trace_id = record(tracer)
        await export.close()
    (path, key, body) = collector.posted[-1]  # an empty request is before it
    assert (path, key) == ("/v1/traces", "secret")
    (spans,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert [span.trace_id.hex() for span in spans.scope_spans[0].spans] == [trace_id]


async def test_several_exporters_each_get_every_span(collector: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp,otlp_proto_grpc")
    tracer, export, counted = await set_up_at(collector)
    trace_id = record(tracer)
    await export.close()
    assert len(collector.spans[trace_id]) == counted.spans_sent == 2


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "jaeger"},
            "OTEL_TRACES_EXPORTER: jaeger is not known; there are: console, none, otlp",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"},
            "the trace collector at localhost cannot be set up: could not convert string to float: 'soon'",
        ),
    ],
)
def test_an_exporter_that_cannot_be(variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DestinationError) as raised:
        set_up(TraceSettings(), counters(names.ROUTER))
    assert str(raised.value).startswith(message)


def test_always_off_starts_no_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert set_up(TraceSettings(otlp="http://127.0.0.1:1"), counters(names.ROUTER))[0] is OFF


async def test_a_sampler_that_there_is_not_is_one_warning(
    collector: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "jaeger_remote")
    tracer, export, _ = await set_up_at(collector)
    assert tracer.begin("") is not None, "[trace] ratio counts"
    await export.close()
    assert "OTEL_TRACES_SAMPLER=jaeger_remote is ignored" in caplog.text
