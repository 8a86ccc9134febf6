import importlib
import subprocess
import sys

import msgspec
import pytest

from observability import traceparent as tp
from observability.spans import SERVER, Context, Span
from observability.tracing import OFF, Tracer, TraceSettings

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"
NAMED = tp.from_headers("", TRACE)


def ignore(_span: Span) -> None:
    """A collector that keeps nothing."""


def test_the_parent_decides():
    tracer = Tracer(ignore, ratio=1.0, seed=1)
    context = tracer.begin(SAMPLED)
    assert context is not None
    assert (context.trace_id, context.parent_id) == (TRACE, SPAN)
    assert context.traceparent == f"00-{TRACE}-{context.span_id}-01"
    assert tp.checked(context.traceparent)
    assert tracer.begin(UNSAMPLED) is None, "also at a ratio of 1"


def test_without_a_parent_the_ratio_decides():
    tracer = Tracer(ignore, ratio=0.25, seed=1)
    begun = [tracer.begin("") for _ in range(1000)]
    roots = [context for context in begun if context is not None]
    assert 200 < len(roots) < 300
    assert len({context.trace_id for context in roots}) == len(roots)
    assert all(not context.parent_id for context in roots)
    assert tracer.begin_if_traced("") is None


def test_what_the_exporter_refuses_is_not_sampled():
    tracer = Tracer(ignore, ratio=1.0, seed=1, refuses=lambda: True)
    assert tracer.begin(SAMPLED) is tracer.begin("") is None
    assert tracer.begin(UNSAMPLED) is None


def test_a_trace_that_is_only_named_has_no_parent():
    context = Tracer(ignore, seed=1).begin(NAMED)
    assert context is not None
    assert (context.trace_id, context.parent_id) == (TRACE, "")


def test_without_a_collector_nothing_is_sampled_and_traces_are_propagated():
    assert not OFF.on
    assert OFF.begin(SAMPLED) is OFF.begin("") is None
    assert Tracer(None, ratio=1.0).begin("") is None
    assert OFF.propagated(SAMPLED) == SAMPLED
    assert OFF.propagated("") == ""
    named = OFF.propagated(NAMED)
    assert tp.trace_id_of(named) == TRACE
    assert tp.span_id_of(named), "zeros must not go over the wire"
    assert tp.sampled(named)


def test_a_span_is_recorded_with_all_its_fields():
    spans: list[Span] = []
    tracer = Tracer(spans.append, seed=1)
    context = tracer.child_of(Context(TRACE, SPAN, ""))
    tracer.record(context, "name", SERVER, 1, 2, {"a": 1}, "broken", (SAMPLED,))
    assert spans == [Span(Context(TRACE, context.span_id, SPAN), "name", SERVER, 1, 2, {"a": 1}, "broken", (SAMPLED,))]
    OFF.record(context, "name", SERVER, 1, 2, {})


@pytest.mark.parametrize("url", ["http://127.0.0.1:4317", "https://collector.example:443/", "http://[::1]:4317", ""])
def test_a_good_address(url):
    assert TraceSettings(otlp=url).otlp == url


@pytest.mark.parametrize(
    "url", ["127.0.0.1:4317", "http://host", "grpc://h:1", "http://h:0", "http://h:65536", "http://h:1/v1", "http://:1"]
)
def test_a_bad_address(url):
    with pytest.raises(msgspec.ValidationError, match=r"such as http://127.0.0.1:4317"):
        msgspec.convert({"otlp": url}, TraceSettings)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, "much"])
def test_a_bad_ratio(ratio):
    with pytest.raises(msgspec.ValidationError, match="ratio"):
        msgspec.convert({"ratio": ratio}, TraceSettings)


@pytest.mark.parametrize(
    ("service", "unwanted"),
    [("router", "opentelemetry"), ("gateway", "opentelemetry.exporter")],  # redis' client imports the SDK's metrics
)
def test_without_a_collector_nothing_of_opentelemetry_is_imported(service, unwanted):
    script = (
        f"import sys, {service}.__main__; from observability.span_export import *; "
        "assert set_up(TraceSettings(), None)[0] is OFF; "
        f"print([m for m in sys.modules if m.startswith({unwanted!r})])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("service", ["gateway", "router"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trace.otlp=localhost", "[trace]: otlp = 'localhost' is not a URL such as http://127.0.0.1:4317"),
        ("trace.ratio=2", "[trace] ratio: "),
        ("trace.colour=red", "[trace] colour: unknown; there are: otlp, ratio"),
    ],
)
def test_row_65_a_mistake_in_the_section_is_one_line_and_exit_code_2(service, setting, message, capsys):
    main = importlib.import_module(f"{service}.__main__").main
    assert main(["--set", setting]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"configuration: --set {setting}: {message}")
    assert error.count("\n") == 1
