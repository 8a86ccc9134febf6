"""Shell: the thread in which one stock `SpanExporter` of OpenTelemetry's SDK exports the spans of this process.

The event loop appends a tuple to a queue (`record`). Everything else happens here: the `ReadableSpan`, its encoding and
the request, about 50 us a span, most of it under the interpreter lock that the event loop needs. Hence two bounds: a
slice of `SLICE` spans, under a millisecond, after which the thread waits; and `SHARE`, the part of its time that the
thread computes at most. Spans that are recorded faster than that fill the queue; then no trace begins until it is half
empty (`refuses`), counted, so that tracing everything costs traces and not the latency of pushes (docs/performance.md,
"Tracing").

An exporter that fails is logged once, with its own reason, and once more when it succeeds again. Meanwhile spans wait.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from typing import Self

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from observability.counters import Counters
from observability.exporter_log import ExporterLog
from observability.readable_spans import ReadableSpans
from observability.spans import Span

log = logging.getLogger(__name__)

QUEUE = 2_048  # spans that wait, the SDK's own default; more would be work for the garbage collector
RESERVE = QUEUE // 8  # of these for spans that have begun
SLICE = 16  # spans of one request
SHARE = 0.003  # of its time that the thread computes at most
INTERVAL = 1.0  # seconds between requests while few spans are recorded; a request costs as much as ten spans
RETRY_PAUSE = 1.0  # seconds before an exporter that has failed is tried again
CLOSE_TIMEOUT = 2.0  # seconds for what is queued when the service stops


class ExportThread:
    """Queues spans from the event loop (`record`), and exports them from its own thread until `close`."""

    def __init__(self, exporter: SpanExporter, destination: str, readable: ReadableSpans, counters: Counters) -> None:
        """`destination`: the exporter in the words of the log."""
        self._exporter = exporter
        self._destination = destination
        self._readable = readable
        self._counters = counters
        self._reasons = ExporterLog()
        self._queue: deque[Span] = deque()
        self._full = False
        self._exporting = 0  # spans of the slice that is being exported
        self._away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)

    def start(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def refuses(self) -> bool:
        """Whether a span that would begin now is not recorded, and counted: the queue was full, and is not half empty
        yet. So a push that is dropped costs nothing, and those that are traced are so in a row, with all their spans.
        """
        self._full = len(self._queue) > (QUEUE // 2 if self._full else QUEUE - RESERVE)
        if self._full:
            self._counters.spans_lost += 1
        return self._full

    def record(self, span: Span) -> None:
        """Queue a span for the next slice. Never blocks; a span beyond the bound is dropped and counted."""
        if len(self._queue) < QUEUE:
            self._queue.append(span)
        else:
            self._counters.spans_lost += 1

    async def close(self) -> None:
        """Export what is queued, for at most `CLOSE_TIMEOUT` seconds, and end the thread and the exporter."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, CLOSE_TIMEOUT)
        if left := len(self._queue) + self._exporting:
            log.warning("%d spans were not exported: the %s did not accept them", left, self._destination)
        await asyncio.to_thread(self._exporter.shutdown)
        self._reasons.close()

    def _run(self) -> None:
        self._export_slice()  # of none: connects before the first span, and names a collector that is away
        while not self._stop.wait(RETRY_PAUSE if self._away else INTERVAL):
            self._export_queued()
        if not self._away:
            self._export_queued()

    def _export_queued(self) -> None:
        """Export all queued spans, slice by slice, or until the exporter fails."""
        while self._queue:
            started = time.thread_time()
            if not self._export_slice():
                return
            self._stop.wait((time.thread_time() - started) * (1 / SHARE - 1))

    def _export_slice(self) -> bool:
        """Export one slice. False: the exporter has failed, and the spans are in the queue again."""
        recorded = [self._queue.popleft() for _ in range(min(SLICE, len(self._queue)))]
        self._exporting = len(recorded)
        try:
            succeeded = self._exporter.export(self._readable.readable(recorded)) is SpanExportResult.SUCCESS
        except Exception:  # one slice that cannot be exported must not end tracing
            log.exception("%d spans are dropped by an error in the exporter", len(recorded))
            self._counters.spans_lost += len(recorded)
            self._exporting = 0
            return True
        if succeeded:
            self._counters.spans_sent += len(recorded)
        else:
            self._queue.extendleft(reversed(recorded))
        self._exporting = 0
        self._log_change(away=not succeeded)
        return succeeded

    def _log_change(self, away: bool) -> None:
        if away and not self._away:
            reason = self._reasons.last or "no reason is given"
            log.warning("the %s does not answer; spans wait, pushes do not: %s", self._destination, reason)
        elif self._away and not away:
            lost = self._counters.spans_lost
            log.info("the %s is back", self._destination, extra={"spans_lost": lost})
        self._away = away
