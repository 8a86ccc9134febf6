"""Recorded spans as `ReadableSpan`s: every field, as the stock encoder and the stock JSON have it."""

import json

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

from observability import readable_spans
from observability.readable_spans import ReadableSpans, process_resource
from observability.spans import CLIENT, INTERNAL, PRODUCER, SERVER, Context, Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
LINK = f"00-{TRACE}-{SPAN}-01"


def span(number=1, parent=SPAN, kind=SERVER, **fields):
    given = {"attributes": {}, "error": "", "links": ()} | fields
    return Span(Context(TRACE, f"{number:016x}", parent), "push", kind, 1_000, 5_000, **given)


def readable(*spans):
    return ReadableSpans(Resource({"service.name": "homing-router"})).readable(list(spans))


def test_every_field_of_a_span():
    made = span(7, attributes={"a": "text", "b": 3, "c": True}, error="busy", links=(LINK,))
    (group,) = encode_spans(readable(made)).resource_spans
    assert {one.key: one.value.string_value for one in group.resource.attributes} == {"service.name": "homing-router"}
    assert group.scope_spans[0].scope.name == "homing"
    (encoded,) = group.scope_spans[0].spans
    assert (encoded.trace_id.hex(), encoded.span_id.hex(), encoded.parent_span_id.hex()) == (TRACE, f"{7:016x}", SPAN)
    assert encoded.name == "push"
    assert encoded.end_time_unix_nano - encoded.start_time_unix_nano == 4_000
    assert encoded.start_time_unix_nano > 1_700_000_000 * 10**9, "the time of day, not the monotonic clock"
    values = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in encoded.attributes}
    assert values == {"a": "text", "b": 3, "c": True}
    assert (encoded.status.code, encoded.status.message) == (2, "busy")
    assert [(one.trace_id.hex(), one.span_id.hex()) for one in encoded.links] == [(TRACE, SPAN)]


def test_a_root_without_error_or_links():
    (encoded,) = encode_spans(readable(span(parent=""))).resource_spans[0].scope_spans[0].spans
    assert (encoded.parent_span_id, encoded.status.code, len(encoded.links)) == (b"", 0, 0)


def test_kinds_are_otlps_numbers():
    kinds = [INTERNAL, SERVER, CLIENT, PRODUCER]
    encoded = encode_spans(readable(*(span(kind=kind) for kind in kinds))).resource_spans[0].scope_spans[0].spans
    assert [one.kind for one in encoded] == kinds


def test_the_stock_json_has_it_too():
    (made,) = readable(span(7, attributes={"a": "text"}, error="busy", links=(LINK,)))
    read = json.loads(made.to_json())
    assert (read["name"], read["kind"], read["parent_id"]) == ("push", "SpanKind.SERVER", f"0x{SPAN}")
    assert read["context"]["trace_id"] == f"0x{TRACE}"
    assert read["status"] == {"status_code": "ERROR", "description": "busy"}


def test_spans_nest_to_the_nanosecond_unless_the_clock_is_set(monkeypatch):
    now = {"time": 10**18, "monotonic": 0}
    monkeypatch.setattr(readable_spans.time, "time_ns", lambda: now["time"])
    monkeypatch.setattr(readable_spans.time, "monotonic_ns", lambda: now["monotonic"])
    spans = ReadableSpans(Resource({}))

    def start():
        return spans.readable([span()])[0].start_time

    assert start() == 10**18 + 1_000
    now["time"] += 900_000  # the two clocks were not read at the same moment
    assert start() == 10**18 + 1_000
    now["time"] += 5_000_000
    assert start() == 10**18 + 5_900_000 + 1_000


@pytest.mark.parametrize(
    ("variables", "name", "zone"),
    [
        ({}, "homing-router", None),
        ({"OTEL_SERVICE_NAME": "pushes"}, "pushes", None),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=pushes,zone=a"}, "pushes", "a"),
    ],
)
def test_the_environment_overrides_the_resource(variables, name, zone, monkeypatch):
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    attributes = process_resource({"service.name": "homing-router", "service.instance.id": "r"}).attributes
    assert (attributes["service.name"], attributes["service.instance.id"]) == (name, "r")
    assert attributes.get("zone") == zone
    assert attributes["telemetry.sdk.language"] == "python"
