"""Traces as `homing trace --collect` gathers them from OTLP requests, until each is complete."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from homing.command.waterfall import DrawnSpan

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

QUIET = 2.0  # seconds without a span after which a trace is complete; the services export once a second
MAX_TRACES = 1000  # that are gathered at a time; beyond it the oldest is complete as it is
ERROR = 2  # OTLP's status code (opentelemetry/proto/trace/v1/trace.proto)


class CollectedSpan(NamedTuple):
    """One span. Times: ns since 1970."""

    span: str
    parent: str  # "": none
    name: str
    where: str  # service and instance
    start_ns: int
    end_ns: int
    attributes: Mapping[str, object]
    error: str  # "": none


class CompleteTrace(NamedTuple):
    """A trace that is complete, ready to be drawn."""

    trace_id: str
    spans: list[DrawnSpan]


class CollectedTraces:
    """Spans by trace. Times: seconds, on any one clock."""

    def __init__(self) -> None:
        self._spans: dict[str, list[CollectedSpan]] = {}
        self._changed_at: dict[str, float] = {}  # in the order of the changes, oldest first

    def add(self, request: "ExportTraceServiceRequest", now: float) -> None:
        """Take the spans of one request."""
        for trace_id, span in read_request(request):
            self._spans.setdefault(trace_id, []).append(span)
            self._changed_at.pop(trace_id, None)
            self._changed_at[trace_id] = now

    def take_complete(self, now: float) -> Iterator[CompleteTrace]:
        """Give out the traces that have been quiet, and the oldest beyond the bound."""
        for trace_id, changed_at in list(self._changed_at.items()):
            if now - changed_at < QUIET and len(self._spans) <= MAX_TRACES:
                return
            yield self._take(trace_id)

    def take_all(self) -> Iterator[CompleteTrace]:
        """Give out what is left."""
        for trace_id in list(self._changed_at):
            yield self._take(trace_id)

    def _take(self, trace_id: str) -> CompleteTrace:
        del self._changed_at[trace_id]
        return CompleteTrace(trace_id, drawn(self._spans.pop(trace_id)))


def drawn(spans: Iterable[CollectedSpan]) -> list[DrawnSpan]:
    """Spans of one trace (not none) in the order of their starts, for the waterfall."""
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.end_ns))
    begin_ns = ordered[0].start_ns
    ids = {span.span for span in ordered}
    return [
        DrawnSpan(
            span.span,
            span.parent if span.parent in ids else "",
            span.name,
            span.where,
            (span.start_ns - begin_ns) // 1000,
            (span.end_ns - span.start_ns) // 1000,
            span.attributes,
            span.error,
        )
        for span in ordered
    ]


def read_request(request: "ExportTraceServiceRequest") -> Iterator[tuple[str, CollectedSpan]]:
    """The spans of an OTLP request, each with the id of its trace."""
    for group in request.resource_spans:
        resource = _values(group.resource.attributes)
        where = f"{resource.get('service.name', '?')} {resource.get('service.instance.id', '')}".rstrip()
        for scope in group.scope_spans:
            for span in scope.spans:
                yield span.trace_id.hex(), _read_span(span, where)


def _read_span(span: "Span", where: str) -> CollectedSpan:
    failed = span.status.code == ERROR
    return CollectedSpan(
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        where,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _values(span.attributes),
        (span.status.message or "error") if failed else "",
    )


def _values(attributes: "Iterable[KeyValue]") -> dict[str, object]:
    """Attributes by name. Those of the kinds that Homing does not use (lists, maps, bytes) as text."""
    found: dict[str, object] = {}
    for one in attributes:
        kind = one.value.WhichOneof("value") or "string_value"
        value = getattr(one.value, kind)
        found[one.key] = value if isinstance(value, str | int | float) else str(value).strip()
    return found
