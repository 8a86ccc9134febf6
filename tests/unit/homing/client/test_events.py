"""The trace context of a client's event, from the bus's headers to the backend's pushes."""

import sys

import pytest

from homing.client.events import current_traceparent, trace_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "headers",
    [
        {b"X-ID": b"7", b"traceparent": PARENT.encode(), b"value": b"\xff\xfe"},  # a Redis Stream's fields
        [("X-ID", b"7"), ("traceparent", PARENT.encode())],  # a Kafka record's headers
        {"Traceparent": PARENT, "X-Trace-ID": "f" * 32},
    ],
)
def test_headers_of_every_bus_are_read(headers):
    trace = trace_of(headers)
    assert (trace.traceparent, trace.trace_id, trace.sampled) == (PARENT, TRACE, True)


def test_without_a_traceparent_the_trace_id_header_is_used():
    trace = trace_of({"X-Trace-ID": TRACE})
    assert (trace.traceparent, trace.trace_id, trace.sampled, trace.context) == ("", TRACE, False, None)


@pytest.mark.parametrize(
    "bad", ["", "x", f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{TRACE}-{'0' * 16}-01", PARENT.upper()]
)
def test_malformed_values_count_as_absent(bad):
    with trace_of({"traceparent": bad, "X-Trace-ID": bad}) as trace:
        assert (trace.traceparent, trace.trace_id) == ("", "")
        assert current_traceparent() == ""


def test_with_sets_the_current_trace_and_restores_the_previous_one():
    assert current_traceparent() == ""
    with trace_of({"traceparent": PARENT}):
        other = PARENT.replace("b7ad", "0000").replace("-01", "-00")
        with trace_of({"traceparent": other}) as inner:
            assert (current_traceparent(), inner.sampled) == (other, False)
        assert current_traceparent() == PARENT
    assert current_traceparent() == ""


def test_the_trace_context_works_without_opentelemetry(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as if it were not installed
    with trace_of({"traceparent": PARENT}) as trace:
        assert trace.context is None
        assert current_traceparent() == PARENT


def test_with_opentelemetry_the_event_is_its_current_span():
    otel = pytest.importorskip("opentelemetry.trace")
    with trace_of({"traceparent": PARENT}) as trace:
        assert f"{otel.get_current_span().get_span_context().trace_id:032x}" == TRACE
        assert f"{otel.get_current_span(trace.context).get_span_context().trace_id:032x}" == TRACE
    assert not otel.get_current_span().get_span_context().is_valid
