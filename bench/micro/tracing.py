"""The cost of tracing per push, and the effect of a collector that stops under load (none).

    python -m bench.micro.tracing [--rate N] [--seconds N] [--rounds N] [--json]

Each row has a cluster of its own: three gateways, one router, unicast pushes through PushStream, open loop. *off*: no
collector. *unsampled*: a collector, and callers whose traceparent is not sampled. *1 %*: one push in a hundred is
sampled by ratio. *sampled*: every push, four spans each. *stopped*: sampled, with the collector stopped for the middle
third of the run. CPU is that of all processes of a kind, per push; the round with the lowest p99 counts. The collector
is Jaeger where `make jaeger` has built it.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import secrets
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.unicast import unicast
from gateway.delivery.fanout import Fanout, PushJob
from gateway.delivery.traces import DeliveryTrace
from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability import names, otlp
from observability.counters import counters
from observability.spans import Span
from observability.tracing import OFF, Tracer
from registry.model import Incarnation
from router.delivery.plan import Leg
from router.delivery.routed import Routed
from router.delivery.trace import PushTrace
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.push import CheckedPush, Target
from tests.support.otlp import JAEGER, Collector, Jaeger, Receiver
from tests.support.table import TableFeed
from tests.support.wire import open_session, transport_of

UNSAMPLED = f"00-{1:032x}-{1:016x}-00"
CLIENTS = 300
GATEWAYS = 3
REPETITIONS = 5


@contextlib.contextmanager
def start_cluster(**environment: str) -> Iterator[tuple[BenchCluster, Path]]:
    """`homing up` with these variables. (cluster, folder of its logs)."""
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "homing", "up", "--gateways", str(GATEWAYS), "--run-dir", str(run_dir)]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        up = subprocess.Popen([*command, "--json"], stdout=pipe, stderr=null, env={**os.environ, **environment})
        assert up.stdout is not None
        try:
            yield BenchCluster(json.loads(up.stdout.readline()), run_dir), run_dir / "logs"
        finally:
            up.terminate()
            up.wait()
            up.stdout.close()


@contextlib.contextmanager
def start_collector() -> Iterator[Collector]:
    """Jaeger, or the receiver of the tests."""
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        collector: Collector = Jaeger(Path(folder)) if JAEGER.exists() else Receiver()
        try:
            yield collector
        finally:
            collector.stop()


def sampled_traceparent(n: int) -> str:
    return f"00-{secrets.token_hex(16)}-{n + 1:016x}-01"


def measure(rate: float, seconds: float, trace: str, url: str, ratio: float) -> dict[str, Any]:
    """One row of one round. `url`: of the collector; "": tracing is off."""
    environment = {"HOMING_TRACE__OTLP": url, "HOMING_TRACE__RATIO": str(ratio)} if url else {}
    with start_cluster(**environment) as (cluster, _):
        return unicast(cluster, CLIENTS, rate, seconds, unary=False, trace=trace)


def measure_stopped(collector: Collector, rate: float, seconds: float) -> dict[str, Any]:
    """The row with the collector stopped for the middle third; also the services' warnings."""

    async def run(cluster: BenchCluster) -> dict[str, Any]:
        async def interrupt() -> None:
            await asyncio.sleep(seconds / 3)
            await asyncio.to_thread(collector.stop)
            await asyncio.sleep(seconds / 3)
            await asyncio.to_thread(collector.restart)

        interruption = asyncio.ensure_future(interrupt())
        row = await asyncio.to_thread(unicast, cluster, CLIENTS, rate, seconds, unary=False, trace="sampled")
        await interruption
        await asyncio.sleep(3)  # the services reconnect within a second, and send the buffered spans
        return row

    with start_cluster(HOMING_TRACE__OTLP=collector.url) as (cluster, logs):
        row = asyncio.run(run(cluster))
        texts = [log.read_text() for log in sorted(logs.glob("*.log"))]
    services = [text for text in texts if '"service"' in text]
    row["warnings"] = [text.count("does not answer") for text in services]
    row["back"] = [text.count("is back") for text in services]
    row["other_warnings"] = sum(text.count('"level": "warning"') for text in services) - sum(row["warnings"])
    return row


def measure_parts() -> dict[str, float]:
    """Microseconds of CPU of the parts of one push, in this process, without a cluster."""
    spans: list[Span] = []
    tracer = Tracer(spans.append, ratio=1.0)
    one_percent = Tracer(spans.append, ratio=0.01)
    push = CheckedPush(Target(user="u"), "e", b"{}", "", "p", 30.0, 0.0, (), 100, "", 514)
    leg, report = Leg(Incarnation("g0", 1)), router_pb2.PushReport(counts={"WRITTEN": 1})
    answer = node_pb2.PushAnswer(verdict=node_pb2.DONE)

    def record_router_spans() -> None:
        context = tracer.begin("")
        assert context is not None
        trace = PushTrace(tracer, context, push, 0)
        trace.record_plan({leg.incarnation: leg})
        trace.start_hop(leg).finish(answer)
        trace.finish(report)

    figures = {
        "off": cpu_us(lambda: OFF.begin(""), 200_000),
        "unsampled by its caller": cpu_us(lambda: tracer.begin(UNSAMPLED), 200_000),
        "unsampled by a ratio of 1 %": cpu_us(lambda: one_percent.begin(""), 200_000),
        "three spans of the router": cpu_us(record_router_spans, 20_000),
    }
    encoder, batch = otlp.SpanEncoder({"service.name": "bench"}), spans[-otlp.BATCH :]
    encode_us = cpu_us(lambda: encoder.encode(batch).SerializeToString(), 200)
    figures["one span as OTLP"] = encode_us / len(batch)
    ratio_0 = Tracer(spans.append, ratio=0.0)
    for name, used, traceparent in (
        ("a push in one process, off", OFF, ""),
        ("the same, unsampled", ratio_0, UNSAMPLED),
        ("the same, sampled: four spans, encoded", ratio_0, sampled_traceparent(0)),
    ):
        figures[name] = asyncio.run(measure_one_process(used, spans, traceparent))
    return figures


async def measure_one_process(tracer: Tracer, spans: list[Span], traceparent: str, pushes: int = 5_000) -> float:
    """Microseconds of CPU per push through the router's delivery and a node's fan-out, without a transport between
    them; includes the encoding of spans. No batching varies with the machine's load."""
    feed, gateway_counters = TableFeed(), counters(names.GATEWAY)
    session = open_session(1)
    fanout, frames = Fanout(), transport_of(session).frames

    def serve(message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        answers = node_pb2.NodeMessage()
        for push in message.pushes:
            context = tracer.begin_if_traced(push.traceparent) if push.traceparent else None
            if context is None:
                job = PushJob(push, (session,), 0, time.monotonic_ns, answers.pushes.append)
            else:
                trace = DeliveryTrace(tracer, context, push, "r", "g0")
                job = trace.job((session,), 0, time.monotonic_ns, answers.pushes.append, None)
            fanout.add(job)
            fanout.write_slice(gateway_counters)
        return answers

    fleet = Fleet(feed, lambda incarnation, _node, on_change: MemoryHop(incarnation, serve, on_change))
    routed = Routed(feed, fleet, counters(names.ROUTER), tracer)
    feed.session(feed.node("g0"), "u", 1)
    push = CheckedPush(Target(user="u"), "e", b"{}", "", "p", 30.0, 0.0, (), 100, traceparent, 514)
    encoder = otlp.SpanEncoder({"service.name": "bench"})
    best_us = math.inf
    async with asyncio.TaskGroup() as group:
        fleet.start(group)
        for _ in range(REPETITIONS):
            spans.clear()
            started_at = time.process_time()
            for _ in range(pushes):
                report = asyncio.get_running_loop().create_future()
                routed.start(push, time.monotonic_ns(), report.set_result)
                await report
                if len(spans) >= otlp.BATCH:
                    encoder.encode(spans).SerializeToString()
                    spans.clear()
            frames.clear()
            best_us = min(best_us, (time.process_time() - started_at) / pushes * 1e6)
        fleet.close()
    return best_us


def cpu_us(function: Callable[[], object], number: int) -> float:
    """Microseconds of CPU per call, the lowest of several repetitions."""
    repetitions = timeit.repeat(function, number=number, repeat=REPETITIONS, timer=time.process_time)
    return min(repetitions) / number * 1e6


def least_disturbed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The valid round with the lowest p99. On a busy machine batches are larger, so pushes seem to cost less."""
    return min([row for row in rows if row["valid"]] or rows, key=lambda row: float(row["p99_ms"]))


def measure_rounds(collector: Collector, rate: float, seconds: float, rounds: int) -> dict[str, Any]:
    """All rows, each from its least disturbed round. Rounds are interleaved: a busy minute affects all rows."""
    rows = {
        "off": ("", "", 1.0),
        "unsampled": ("unsampled", collector.url, 1.0),
        "1 %": ("", collector.url, 0.01),
        "sampled": ("sampled", collector.url, 1.0),
    }
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, (trace, url, ratio) in rows.items():
            results[name].append(measure(rate, seconds, trace, url, ratio))
    stopped = measure_stopped(collector, rate, max(seconds, 9.0))
    return {name: least_disturbed(result) for name, result in results.items()} | {"stopped": stopped}


def print_table(figures: dict[str, Any], parts: dict[str, float]) -> None:
    for name, row in figures.items():
        used = row["cpu_us"]
        print(
            f"{name:10} router {used['routers']:6.1f} us  gateways {used['gateways']:6.1f} us  "
            f"p50 {row['p50_ms']:6.2f} ms  p99 {row['p99_ms']:7.2f} ms  "
            f"{row['written']} of {row['pushes']} written  {'valid' if row['valid'] else 'INVALID'}"
        )
    row = figures["stopped"]
    print(f"stopped    warnings of each service {row['warnings']}, back {row['back']}, others {row['other_warnings']}")
    for name, us in parts.items():
        print(f"alone      {us:7.3f} us  {name}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    parts = measure_parts()
    with start_collector() as collector:
        figures = measure_rounds(collector, arguments.rate, arguments.seconds, arguments.rounds)
    if arguments.json:
        print(json.dumps(figures | {"alone": parts}))
        return
    print_table(figures, parts)


if __name__ == "__main__":
    main()
