"""The delay that the exporting thread adds to an event loop that is as busy as a router's (none).

    python -m bench.micro.export_delay [--rounds N] [--rate N]

One process: round trips through a pair of sockets, paced, with three spans each, as a push has them in a router. Slots
of half a second alternate, so that other work on the machine meets all alike: *off* records nothing, *dropped* records
spans that find the queue full, *exported* has the exporting thread at work, with the stock encoder and a request that
is thrown away. A ratio is that to *off* in the same round; the median of the rounds counts.
"""

import argparse
import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from statistics import median, quantiles

import uvloop
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from observability import export_thread, names, spans
from observability.counters import counters
from observability.export_thread import ExportThread
from observability.readable_spans import ReadableSpans, process_resource
from observability.spans import Span
from observability.tracing import OFF, Tracer

SLOT = 0.5  # seconds
SPANS = 3  # of one round trip
ATTRIBUTES: spans.Attributes = {spans.MESSAGE_ID: "abcdefgh", spans.BODY_SIZE: 100, spans.TARGET: "user"}


class EncodingExporter(SpanExporter):
    """The stock encoder without a collector."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def drop(_span: Span) -> None:
    """Records nothing: as if the queue were full."""


async def round_trips(tracer: Tracer, rate: float) -> list[float]:
    """Microseconds of each round trip of one slot."""
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    found = []
    due = loop.time()
    end = due + SLOT
    while due < end:
        await asyncio.sleep(max(0.0, due - loop.time()))
        started = time.perf_counter()
        await loop.sock_sendall(here, b"push")
        await loop.sock_sendall(there, await loop.sock_recv(there, 16))
        await loop.sock_recv(here, 16)
        found.append((time.perf_counter() - started) * 1e6)
        record_spans(tracer)
        due = max(due + 1 / rate, loop.time() - 0.05)
    here.close()
    there.close()
    return found


def record_spans(tracer: Tracer) -> None:
    for _ in range(SPANS):
        context = tracer.begin("")
        if context is not None:
            now = time.monotonic_ns()
            tracer.record(context, spans.PUSH, spans.SERVER, now, now, dict(ATTRIBUTES))


async def measure(rounds: int, rate: float) -> None:
    """Print a line for each row."""
    counted = counters(names.ROUTER)
    readable = ReadableSpans(process_resource({"service.name": "bench"}))
    export_thread.QUEUE, export_thread.INTERVAL = 64, 0.01  # full in an instant, and empty soon after the slot
    thread = ExportThread(EncodingExporter(), "bench", readable, counted).start()
    accepted = 0

    def record(span: Span) -> None:
        nonlocal accepted
        lost = counted.spans_lost
        thread.record(span)
        accepted += counted.spans_lost == lost

    rows = {"off": OFF, "dropped": Tracer(drop, 1.0), "exported": Tracer(record, 1.0)}
    p99: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, tracer in rows.items():
            while counted.spans_sent < accepted:
                await asyncio.sleep(0.01)
            p99[name].append(quantiles(await round_trips(tracer, rate), n=100)[98])
    for name, row in p99.items():
        ratio = median(one / off for one, off in zip(row, p99["off"], strict=True))
        print(f"{name:10} p99 {median(row):7.1f} us  x{ratio:.2f}")
    print(f"{counted.spans_sent} spans exported, {counted.spans_lost} lost")
    await thread.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1000.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    uvloop.run(measure(arguments.rounds, arguments.rate))


if __name__ == "__main__":
    main()
