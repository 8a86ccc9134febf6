"""Shell: finished spans as the SDK's `ReadableSpan`, and the resource that they belong to.

Runs in the exporting thread alone: 2 us a span. Imports OpenTelemetry's SDK, a quarter of a second and 15 MB.
"""

import time
from collections.abc import Mapping

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link as SpanLink
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from observability import spans
from observability import traceparent as tp
from observability.spans import Span

KINDS = {
    spans.INTERNAL: SpanKind.INTERNAL,
    spans.SERVER: SpanKind.SERVER,
    spans.CLIENT: SpanKind.CLIENT,
    spans.PRODUCER: SpanKind.PRODUCER,
}
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
UNSET = Status(StatusCode.UNSET)
SCOPE = InstrumentationScope("homing")
MAX_DRIFT_NS = 1_000_000  # between the clocks; beyond this their offset is computed again


def process_resource(attributes: Mapping[str, str]) -> Resource:
    """This process: `attributes` (service.name, ...), what the SDK's resource detectors find, and over both
    OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME.
    """
    return Resource.create(dict(attributes)).merge(OTELResourceDetector().detect())


class ReadableSpans:
    """Makes `ReadableSpan`s, with times of day instead of those of the monotonic clock."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._offset = time.time_ns() - time.monotonic_ns()

    def readable(self, recorded: list[Span]) -> list[ReadableSpan]:
        """The same spans, for an exporter of the SDK."""
        offset = time.time_ns() - time.monotonic_ns()
        if abs(offset - self._offset) > MAX_DRIFT_NS:  # below it the offset stays, so that spans nest to the ns
            self._offset = offset
        return [self._readable(span) for span in recorded]

    def _readable(self, span: Span) -> ReadableSpan:
        context = span.context
        trace_id = int(context.trace_id, 16)
        parent = None
        if context.parent_id:
            parent = SpanContext(trace_id, int(context.parent_id, 16), span.kind == spans.SERVER, SAMPLED)
        return ReadableSpan(
            name=span.name,
            context=SpanContext(trace_id, int(context.span_id, 16), False, SAMPLED),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            links=[_link_to(link) for link in span.links],
            kind=KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else UNSET,
            start_time=span.start_ns + self._offset,
            end_time=span.end_ns + self._offset,
            instrumentation_scope=SCOPE,
        )


def _link_to(traceparent: str) -> SpanLink:
    trace_id, span_id = int(tp.trace_id_of(traceparent), 16), int(tp.span_id_of(traceparent), 16)
    return SpanLink(SpanContext(trace_id, span_id, True, SAMPLED))
