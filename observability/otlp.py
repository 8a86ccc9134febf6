"""Shell: export of finished spans to a collector over OTLP/gRPC, from a thread of its own.

The transport is that of opentelemetry-exporter-otlp (with its TLS, headers and environment variables); the messages are
built here. The SDK's own path, a ReadableSpan and its encoder, costs 46 us a span under the interpreter lock that the
service needs; building the message costs 7.5 us (docs/performance.md). Requests are small, so that the lock is held for
about a millisecond at a time.

A collector that does not answer is logged once, and once more when it answers again. Meanwhile spans gather up to a
bound; spans beyond the bound are dropped and counted.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Self

from grpc import StatusCode
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace.export import SpanExportResult

from observability import traceparent as tp
from observability.counters import Counters
from observability.spans import Span

log = logging.getLogger(__name__)

QUEUE = 16_384  # spans that wait for the collector; a second of 4,000 sampled pushes
BATCH = 128  # spans of one request
INTERVAL = 0.2  # seconds between requests while few spans are recorded
TIMEOUT = 2.0  # seconds for one request
RETRY_PAUSE = 1.0  # seconds before a collector that does not answer is tried again
SAMPLED = 1  # W3C's trace flag
NO_RETRIES = (StatusCode.OK,)  # no error is retried by the transport; the next interval is the retry
OPTIONS: Any = (
    ("grpc.enable_http_proxy", 0),  # a collector is in the cluster's own network
    ("grpc.use_local_subchannel_pool", 1),  # a shared one would keep its back-off: up to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
MAX_DRIFT_NS = 1_000_000  # between the clocks; beyond this their offset is computed again


class SpanExporter:
    """Queues spans from the event loop (`record`), and sends them from its own thread until `close`."""

    def __init__(self, address: str, resource: Mapping[str, str], counters: Counters) -> None:
        """`address`: http(s)://HOST:PORT. `resource`: this process, in the conventions' names (service.name, ...)."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs every attempt
        self._address = address
        self._counters = counters
        self._transport = _Transport(
            endpoint=address, timeout=TIMEOUT, retryable_error_codes=NO_RETRIES, channel_options=OPTIONS
        )
        self._encoder = SpanEncoder(resource)
        self._queue: deque[Span] = deque()
        self._away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)

    def start(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def record(self, span: Span) -> None:
        """Queue a span for the next request. Never blocks; a span beyond the bound is dropped and counted."""
        if len(self._queue) < QUEUE:
            self._queue.append(span)
        else:
            self._counters.spans_lost += 1

    async def close(self) -> None:
        """Send the queued spans, for at most `TIMEOUT` seconds, and end the thread."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, TIMEOUT)
        if self._queue:
            log.warning(
                "%d spans were not sent: the collector at %s did not accept them", len(self._queue), self._address
            )
        self._transport.shutdown()

    def _run(self) -> None:
        while not self._stop.wait(RETRY_PAUSE if self._away else INTERVAL):
            self._send_queued()
        self._send_queued()

    def _send_queued(self) -> None:
        """Send all queued spans, or until the collector fails."""
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            try:
                accepted = self._transport.send(self._encoder.encode(batch))
            except Exception:  # one batch that cannot be encoded must not end tracing
                log.exception("%d spans are dropped by an error in the exporter", len(batch))
                self._counters.spans_lost += len(batch)
                continue
            if accepted:
                self._counters.spans_sent += len(batch)
            else:
                self._queue.extendleft(reversed(batch))
            self._log_change(away=not accepted)
            if not accepted:
                return

    def _log_change(self, away: bool) -> None:
        if away and not self._away:
            log.warning("the trace collector at %s does not answer; spans wait, pushes do not", self._address)
        elif self._away and not away:
            lost = self._counters.spans_lost
            log.info("the trace collector at %s is back", self._address, extra={"spans_lost": lost})
        self._away = away


class _Transport(OTLPSpanExporter):
    """The package's exporter, for messages that are encoded already."""

    def send(self, request: ExportTraceServiceRequest) -> bool:
        return bool(self._export(request) is SpanExportResult.SUCCESS)  # type: ignore[arg-type]  # see below

    def _translate_data(self, data: Any) -> ExportTraceServiceRequest:  # noqa: ANN401 - the base class has another type
        request: ExportTraceServiceRequest = data
        return request

    def _count_data(self, data: Any) -> int:  # noqa: ANN401
        return len(data.resource_spans[0].scope_spans[0].spans)


class SpanEncoder:
    """Encodes spans as OTLP messages, and converts their times from the monotonic clock to the time of day."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        merged = SdkResource.create(dict(resource)).attributes  # adds telemetry.sdk.* and OTEL_RESOURCE_ATTRIBUTES
        self._resource = Resource()
        for key, value in merged.items():
            _fill(self._resource.attributes.add(), key, _plain(value))
        self._offset = time.time_ns() - time.monotonic_ns()

    def encode(self, spans: Sequence[Span]) -> ExportTraceServiceRequest:
        """One request with these spans."""
        offset = time.time_ns() - time.monotonic_ns()
        if abs(offset - self._offset) > MAX_DRIFT_NS:  # below it the offset stays, so that spans nest to the ns
            self._offset = offset
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add(resource=self._resource).scope_spans.add()
        group.scope.name = "homing"
        for span in spans:
            self._add(group, span)
        return request

    def _add(self, group: trace_pb2.ScopeSpans, span: Span) -> None:
        context = span.context
        message = group.spans.add(
            trace_id=bytes.fromhex(context.trace_id),
            span_id=bytes.fromhex(context.span_id),
            parent_span_id=bytes.fromhex(context.parent_id),
            name=span.name,
            kind=span.kind,
            start_time_unix_nano=span.start_ns + self._offset,
            end_time_unix_nano=span.end_ns + self._offset,
            flags=SAMPLED,
        )
        add = message.attributes.add  # built in place: an appended message is copied, half of the cost of a span
        for key, value in span.attributes.items():
            _fill(add(), key, value)
        if span.error:
            message.status.code = trace_pb2.Status.STATUS_CODE_ERROR
            message.status.message = span.error
        for link in span.links:
            message.links.add(trace_id=bytes.fromhex(tp.trace_id_of(link)), span_id=bytes.fromhex(tp.span_id_of(link)))


def _fill(attribute: KeyValue, key: str, value: str | int | bool) -> None:
    attribute.key = key
    if isinstance(value, str):
        attribute.value.string_value = value
    elif isinstance(value, bool):
        attribute.value.bool_value = value
    else:
        attribute.value.int_value = value


def _plain(value: object) -> str | int | bool:
    return value if isinstance(value, str | int | bool) else str(value)
