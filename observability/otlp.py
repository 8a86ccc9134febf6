"""Shell: sends finished spans to a collector, from a thread of its own, and never lets the service feel it.

The transport is opentelemetry-exporter-otlp's (its TLS, headers and environment variables); the messages are filled in
here. The SDK's way there is a ReadableSpan and its encoder: 46 us a span, all of it under the interpreter lock that the
service needs; filling the message in costs 7.5 (docs/performance.md). Requests are small, so that the lock is held for
about a millisecond at a time.

A collector that does not answer is one warning and, when it is back, one line. Meanwhile spans gather up to a bound;
what comes after that is lost and counted.
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

HELD = 16_384  # spans that wait for the collector; a second of 4,000 sampled pushes
BATCH = 128  # spans of one request
EVERY = 0.2  # seconds between requests while little happens
TIMEOUT = 2.0  # seconds for one request
PAUSE = 1.0  # seconds before an absent collector is tried again
SAMPLED = 1  # W3C's flag
NEVER = (StatusCode.OK,)  # no error is tried again inside a request: the next round is the next try
OPTIONS: Any = (
    ("grpc.enable_http_proxy", 0),  # a collector stands in the cluster's own network
    ("grpc.use_local_subchannel_pool", 1),  # a shared one would keep its back-off: up to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
STEP = 1_000_000  # ns; clocks that drift further apart than this are compared anew


class SpanExporter:
    """Takes spans on the loop (`record`), sends them from its thread until `close`."""

    def __init__(self, address: str, resource: Mapping[str, str], counters: Counters) -> None:
        """`address`: http(s)://HOST:PORT. `resource`: who we are, by the conventions' names (service.name, ...)."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it warns at every attempt; we say it once
        self._address = address
        self._counters = counters
        self._transport = _Transport(
            endpoint=address, timeout=TIMEOUT, retryable_error_codes=NEVER, channel_options=OPTIONS
        )
        self._encoder = Encoder(resource)
        self._held: deque[Span] = deque()
        self._away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def record(self, span: Span) -> None:
        """Hold a span for the next request."""
        if len(self._held) < HELD:
            self._held.append(span)
        else:
            self._counters.spans_lost += 1

    async def close(self) -> None:
        """Send what is held, for at most `TIMEOUT` seconds, and end."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, TIMEOUT)
        if self._held:
            log.warning("%d spans were not sent: the collector at %s did not take them", len(self._held), self._address)
        self._transport.shutdown()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE if self._away else EVERY):
            self._send_held()
        self._send_held()

    def _send_held(self) -> None:
        """Everything held, or until the collector fails."""
        while self._held:
            batch = [self._held.popleft() for _ in range(min(BATCH, len(self._held)))]
            try:
                taken = self._transport.send(self._encoder.encode(batch))
            except Exception:  # a batch that cannot be sent must not end tracing
                log.exception("%d spans are lost by a fault of ours", len(batch))
                self._counters.spans_lost += len(batch)
                continue
            if taken:
                self._counters.spans_sent += len(batch)
            else:
                self._held.extendleft(reversed(batch))
            self._say_if_changed(away=not taken)
            if not taken:
                return

    def _say_if_changed(self, away: bool) -> None:
        if away and not self._away:
            log.warning("the trace collector at %s does not answer; spans wait, pushes do not", self._address)
        elif self._away and not away:
            lost = self._counters.spans_lost
            log.info("the trace collector at %s is back", self._address, extra={"spans_lost": lost})
        self._away = away


class _Transport(OTLPSpanExporter):
    """The package's exporter, given messages that are made already."""

    def send(self, request: ExportTraceServiceRequest) -> bool:
        return bool(self._export(request) is SpanExportResult.SUCCESS)  # type: ignore[arg-type]  # see below

    def _translate_data(self, data: Any) -> ExportTraceServiceRequest:  # noqa: ANN401 - the base's own type is another
        request: ExportTraceServiceRequest = data
        return request

    def _count_data(self, data: Any) -> int:  # noqa: ANN401
        return len(data.resource_spans[0].scope_spans[0].spans)


class Encoder:
    """Fills in OTLP messages. Spans carry the monotonic clock; here they get the time of day."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        merged = SdkResource.create(dict(resource)).attributes  # adds telemetry.sdk.* and OTEL_RESOURCE_ATTRIBUTES
        self._resource = Resource()
        for key, value in merged.items():
            _fill(self._resource.attributes.add(), key, _plain(value))
        self._offset = time.time_ns() - time.monotonic_ns()

    def encode(self, spans: Sequence[Span]) -> ExportTraceServiceRequest:
        """One request."""
        offset = time.time_ns() - time.monotonic_ns()
        if abs(offset - self._offset) > STEP:  # the time of day was set; else keep, so that spans nest to the ns
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
        add = message.attributes.add  # a made one that is appended would be copied: half of a span's whole cost
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
