"""The exporter against a collector that grpcio serves: spans arrive, a collector that goes loses none, close ends."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from observability import names, otlp
from observability.counters import Counters, counters
from observability.spans import SERVER
from observability.tracing import OFF, Tracer, TraceSettings, set_up
from tests.support.otlp import Receiver


@pytest.fixture
def collector() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def record(tracer: Tracer, name: str = "push") -> str:
    """Record one root span; returns its trace id."""
    context = tracer.root()
    tracer.record(context, name, SERVER, 1, 2, {})
    return context.trace_id


async def set_up_at(collector: Receiver) -> tuple[Tracer, otlp.SpanExporter, Counters]:
    counted = counters(names.ROUTER)
    tracer, exporter = set_up(TraceSettings(otlp=collector.url), counted, service_name="homing-router")
    assert exporter is not None
    return tracer, exporter, counted


def test_without_a_collector_nothing_is_recorded() -> None:
    assert set_up(TraceSettings(), counters(names.ROUTER), service_name="homing-router") == (OFF, None)


async def test_close_sends_what_is_queued(collector: Receiver) -> None:
    tracer, exporter, counted = await set_up_at(collector)
    traces = [record(tracer) for _ in range(otlp.BATCH + 1)]
    await exporter.close()
    assert set(collector.spans) == set(traces)
    assert (counted.spans_sent, counted.spans_lost) == (otlp.BATCH + 1, 0)
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
    assert texts == [
        f"the trace collector at {collector.url} does not answer; spans wait, pushes do not",
        f"1 spans were not sent: the collector at {collector.url} did not accept them",
    ]


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
