"""`homing trace --collect`: spans of OTLP requests become traces that are complete after a while."""

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue

from homing.command import collected_traces, waterfall
from homing.command.collected_traces import QUIET, CollectedTraces

TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER = "1" * 32


def request(*spans, trace_id=TRACE, service="homing-router"):
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    group.resource.attributes.add(key="service.instance.id").value.string_value = "r"
    for name, number, parent, start_us, end_us in spans:
        group.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=number.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            start_time_unix_nano=10**18 + start_us * 1000,
            end_time_unix_nano=10**18 + end_us * 1000,
        )
    return made


def ids(traces):
    return [(trace.trace_id, [span.name for span in trace.spans]) for trace in traces]


def test_a_trace_is_complete_when_no_span_has_come_for_a_while():
    traces = CollectedTraces()
    traces.add(request(("hop", 2, 1, 100, 200)), 0.0)
    traces.add(request(("push", 1, 9, 0, 500)), 1.0)
    assert ids(traces.take_complete(1.0 + QUIET - 0.01)) == []
    assert ids(traces.take_complete(1.0 + QUIET)) == [(TRACE, ["push", "hop"])]
    assert ids(traces.take_complete(100.0)) == []


def test_traces_are_complete_one_by_one():
    traces = CollectedTraces()
    traces.add(request(("push", 1, 0, 0, 1)), 0.0)
    traces.add(request(("push", 1, 0, 0, 1), trace_id=OTHER), 1.0)
    traces.add(request(("hop", 2, 1, 0, 1)), 1.5)
    assert ids(traces.take_complete(1.0 + QUIET)) == [(OTHER, ["push"])]
    assert ids(traces.take_all()) == [(TRACE, ["push", "hop"])]


def test_beyond_the_bound_the_oldest_is_given_out_as_it_is(monkeypatch):
    monkeypatch.setattr(collected_traces, "MAX_TRACES", 1)
    traces = CollectedTraces()
    traces.add(request(("push", 1, 0, 0, 1)), 0.0)
    traces.add(request(("push", 1, 0, 0, 1), trace_id=OTHER), 0.1)
    assert ids(traces.take_complete(0.2)) == [(TRACE, ["push"])]


def test_a_trace_can_be_drawn():
    traces = CollectedTraces()
    spans = [("push", 1, 9, 0, 1000), ("hop", 2, 1, 200, 900)]
    traces.add(request(*spans), 0.0)
    (trace,) = traces.take_all()
    lines = list(waterfall.draw(trace.trace_id, trace.spans))
    assert lines[0] == f"trace {TRACE}: 2 spans, 1.000 ms"
    assert [line.split("  homing-router r")[0].rstrip() for line in lines[1:]] == ["push", "└ hop"]


def test_attributes_and_errors():
    made = request(("push", 1, 0, 0, 1))
    span = made.resource_spans[0].scope_spans[0].spans[0]
    span.status.code = 2
    span.attributes.add(key="text").value.string_value = "a"
    span.attributes.add(key="number").value.int_value = 3
    span.attributes.add(key="flag").value.bool_value = True
    span.attributes.add(key="list").value.array_value.CopyFrom(ArrayValue(values=[AnyValue(int_value=1)]))
    span.attributes.add(key="nothing")
    traces = CollectedTraces()
    traces.add(made, 0.0)
    (read,) = next(traces.take_all()).spans
    assert read.error == "error"
    assert read.attributes == {
        "text": "a",
        "number": 3,
        "flag": True,
        "list": "values {\n  int_value: 1\n}",
        "nothing": "",
    }


@pytest.mark.parametrize("resource", [{}, {"service.name": "homing-gateway"}])
def test_a_process_without_an_instance_or_a_name(resource):
    made = request(("push", 1, 0, 0, 1))
    attributes = made.resource_spans[0].resource.attributes
    del attributes[:]
    for key, value in resource.items():
        attributes.add(key=key).value.string_value = value
    traces = CollectedTraces()
    traces.add(made, 0.0)
    assert next(traces.take_all()).spans[0].where == resource.get("service.name", "?")
