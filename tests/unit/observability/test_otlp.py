"""Spans become OTLP messages, wait while the collector is away, and are counted when they are too many."""

import logging

import pytest

from observability import names, otlp
from observability.counters import counters
from observability.spans import SERVER, Context, Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
LINK = f"00-{TRACE}-{SPAN}-01"


def span(number=1, **fields):
    given = {"attributes": {}, "error": "", "links": ()} | fields
    return Span(Context(TRACE, f"{number:016x}", SPAN), "push", SERVER, 1_000, 5_000, **given)


def test_every_field_of_a_span():
    made = span(7, attributes={"a": "text", "b": 3, "c": True}, error="busy", links=(LINK,))
    request = otlp.SpanEncoder({"service.name": "homing-router"}).encode([made])
    (group,) = request.resource_spans
    resource = {one.key: one.value.string_value for one in group.resource.attributes}
    assert resource["service.name"] == "homing-router"
    assert resource["telemetry.sdk.language"] == "python"
    (encoded,) = group.scope_spans[0].spans
    assert (encoded.trace_id.hex(), encoded.span_id.hex(), encoded.parent_span_id.hex()) == (TRACE, f"{7:016x}", SPAN)
    assert (encoded.name, encoded.kind, encoded.flags) == ("push", SERVER, 1)
    assert encoded.end_time_unix_nano - encoded.start_time_unix_nano == 4_000
    assert encoded.start_time_unix_nano > 1_700_000_000 * 10**9, "the time of day, not the monotonic clock"
    values = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in encoded.attributes}
    assert values == {"a": "text", "b": 3, "c": True}
    assert (encoded.status.code, encoded.status.message) == (2, "busy")
    assert [(one.trace_id.hex(), one.span_id.hex()) for one in encoded.links] == [(TRACE, SPAN)]


def test_a_root_without_error_or_links():
    root = Span(Context(TRACE, SPAN, ""), "push", SERVER, 1, 2, {})
    (encoded,) = otlp.SpanEncoder({}).encode([root]).resource_spans[0].scope_spans[0].spans
    assert (encoded.parent_span_id, encoded.status.code, len(encoded.links)) == (b"", 0, 0)


def test_spans_nest_to_the_nanosecond_unless_the_clock_is_set(monkeypatch):
    now = {"time": 10**18, "monotonic": 0}
    monkeypatch.setattr(otlp.time, "time_ns", lambda: now["time"])
    monkeypatch.setattr(otlp.time, "monotonic_ns", lambda: now["monotonic"])
    encoder = otlp.SpanEncoder({})

    def start():
        return encoder.encode([span()]).resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano

    assert start() == 10**18 + 1_000
    now["time"] += 900_000  # the two clocks were not read at the same moment
    assert start() == 10**18 + 1_000
    now["time"] += 5_000_000
    assert start() == 10**18 + 5_900_000 + 1_000


class Transport:
    """Accepts requests, or does not."""

    def __init__(self):
        self.reachable = True
        self.accepted = 0

    def send(self, request):
        if self.reachable:
            self.accepted += len(request.resource_spans[0].scope_spans[0].spans)
        return self.reachable


@pytest.fixture
def exporter(monkeypatch):
    monkeypatch.setattr(otlp, "_Transport", lambda **_: Transport())
    return otlp.SpanExporter("http://h:1", {}, counters(names.ROUTER))  # its thread is not started


def test_row_26_a_collector_that_is_away_is_one_warning_and_its_return_one_line(exporter, caplog):
    caplog.set_level(logging.INFO)
    exporter._transport.reachable = False
    for number in range(300):
        exporter.record(span(number))
    for _ in range(20):
        exporter._send_queued()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "http://h:1 does not answer" in caplog.text
    exporter._transport.reachable = True
    exporter._send_queued()
    exporter._send_queued()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert (exporter._transport.accepted, exporter._counters.spans_sent, exporter._counters.spans_lost) == (300, 300, 0)


def test_spans_beyond_the_bound_are_counted(exporter, monkeypatch):
    monkeypatch.setattr(otlp, "QUEUE", 10)
    exporter._transport.reachable = False
    for number in range(15):
        exporter.record(span(number))
    exporter._send_queued()
    assert (len(exporter._queue), exporter._counters.spans_lost) == (10, 5)
    assert exporter._queue[0].context.span_id == f"{0:016x}", "in their order still"
