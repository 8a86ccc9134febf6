"""OTEL_TRACES_SAMPLER: each name as the SDK has it, and mistakes that are ignored with a warning."""

import os
from unittest import mock

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from observability.sampling import Sampling, from_environment
from observability.tracing import Tracer

SHARE = "0.3"
LOW_BITS = [0, 1, int(0.3 * 2**64) - 5000, int(0.3 * 2**64) + 5000, 2**63, 2**64 - 1]


def samples(sampling: Sampling, traceparent: str) -> bool:
    tracer = Tracer(lambda _span: None, sampling.ratio, parent_based=sampling.parent_based)
    return tracer.begin(traceparent) is not None


@pytest.mark.parametrize(
    "name",
    [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
        "Parentbased_TraceIdRatio",
    ],
)
@pytest.mark.parametrize("sampled", [False, True])
def test_below_a_parent_the_decision_is_the_sdks(name, sampled):
    environment = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": SHARE}
    sampling, warning = from_environment(environment, 1.0)
    assert warning == ""
    with mock.patch.dict(os.environ, environment):
        provider = TracerProvider(shutdown_on_exit=False)
    for low in LOW_BITS:
        trace_id = (7 << 64) + low
        parent = SpanContext(trace_id, 1, True, TraceFlags(sampled))
        theirs = provider.sampler.should_sample(set_span_in_context(NonRecordingSpan(parent)), trace_id, "push")
        ours = samples(sampling, f"00-{trace_id:032x}-{1:016x}-0{int(sampled)}")
        assert ours == (theirs.decision is Decision.RECORD_AND_SAMPLE), (name, low)


@pytest.mark.parametrize(
    ("name", "ratio"),
    [("always_on", 1.0), ("parentbased_always_off", 0.0), ("traceidratio", 0.3), ("parentbased_traceidratio", 0.3)],
)
def test_the_share_of_what_begins_here(name, ratio):
    environment = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": SHARE}
    assert from_environment(environment, 0.5)[0].ratio == ratio


def test_without_the_variable_the_configuration_counts():
    assert from_environment({"OTEL_TRACES_SAMPLER": " "}, 0.5) == (Sampling(0.5), "")


def test_without_an_argument_everything_is_sampled():
    assert from_environment({"OTEL_TRACES_SAMPLER": "traceidratio"}, 0.5) == (Sampling(1.0, False), "")


@pytest.mark.parametrize("argument", ["much", "1.1", "-0.1", "nan"])
def test_a_bad_argument_is_named_and_ignored(argument):
    environment = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": argument}
    sampling, warning = from_environment(environment, 0.5)
    assert sampling == Sampling(1.0)
    assert f"OTEL_TRACES_SAMPLER_ARG={argument} is ignored" in warning


def test_an_unknown_sampler_is_named_and_ignored():
    sampling, warning = from_environment({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, 0.5)
    assert sampling == Sampling(0.5)
    assert "OTEL_TRACES_SAMPLER=jaeger_remote is ignored; there are: always_on" in warning
