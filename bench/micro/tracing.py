"""The cost of tracing per push, and the effect of a collector that stops under load (none).

    python -m bench.micro.tracing [--rate N] [--seconds N] [--rounds N] [--json]

Each row has a cluster of its own: three gateways, one router, unicast pushes through PushStream, open loop. *off*: no
collector. *unsampled*: a collector, and callers whose traceparent is not sampled. *1 %*: one push in a hundred is
sampled by ratio. *sampled*: every push, four spans each. *stopped*: sampled, with the collector stopped for the middle
third of the run. CPU is that of all processes of a kind, per push. Rounds are interleaved; a ratio is that to *off* in
the same round, and the median of the rounds counts. The collector is Jaeger where `make jaeger` has built it.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import timeit
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.unicast import unicast
from gateway.delivery.fanout import Fanout
from gateway.delivery.push_job import PushJob
from gateway.delivery.traces import DeliveryTrace
from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability import export_thread, names
from observability.counters import counters
from observability.readable_spans import ReadableSpans, process_resource
from observability.spans import Span
from observability.tracing import OFF, Tracer
from registry.model import Incarnation
from router.delivery.plan import Leg
from router.delivery.routed import Routed
from router.delivery.trace import PushTrace
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.push import CheckedPush, Target
from tests.support.otlp import JAEGER, Jaeger
from tests.support.servers import free_port
from tests.support.table import TableFeed
from tests.support.wire import open_session, transport_of

UNSAMPLED = f"00-{1:032x}-{1:016x}-00"
CLIENTS = 300
GATEWAYS = 3
REPETITIONS = 5


@contextlib.contextmanager
def start_cluster(**environment: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """`homing up` with these variables. (its cluster.json, its run-dir)."""
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "homing", "up", "--ports", "random", "--gateways", str(GATEWAYS)]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        command += ["--run-dir", str(run_dir), "--json"]
        up = subprocess.Popen(command, stdout=pipe, stderr=null, env={**os.environ, **environment})
        assert up.stdout is not None
        try:
            yield json.loads(up.stdout.readline()), run_dir
        finally:
            up.terminate()
            up.wait()
            up.stdout.close()


class ReceiverProcess:
    """The receiver of the tests in a process of its own: a child of a process with gRPC's threads may abort at once."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.restart()

    def restart(self) -> None:
        command = [sys.executable, "-m", "tests.support.otlp", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        with self._process.stdout as ready:
            ready.readline()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def start_collector() -> Iterator[Jaeger | ReceiverProcess]:
    """Jaeger, or the receiver of the tests, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        collector = Jaeger(Path(folder)) if JAEGER.exists() else ReceiverProcess()
        try:
            yield collector
        finally:
            collector.stop()


def sampled_traceparent(n: int) -> str:
    return f"00-{secrets.token_hex(16)}-{n + 1:016x}-01"


def measure(rate: float, seconds: float, trace: str, url: str, ratio: float) -> dict[str, Any]:
    """One row of one round. `url`: of the collector; "": tracing is off."""
    environment = {"HOMING_TRACE__OTLP": url, "HOMING_TRACE__RATIO": str(ratio)} if url else {}
    with start_cluster(**environment) as (cluster, run_dir):
        row = unicast(BenchCluster(cluster, run_dir), CLIENTS, rate, seconds, unary=False, trace=trace)
        return row | router_spans(cluster["routers"][0]["admin"])


def router_spans(admin: str) -> dict[str, int]:
    """The router's spans that were exported and lost so far."""
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=5) as response:
        text = response.read().decode()
    found = re.findall(r"(?m)^homing_router_(spans_(?:sent|lost))_total (\S+)", text)
    return {name: int(float(value)) for name, value in found}


def measure_stopped(collector: Jaeger | ReceiverProcess, rate: float, seconds: float) -> dict[str, Any]:
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

    with start_cluster(HOMING_TRACE__OTLP=collector.url) as (cluster, run_dir):
        row = asyncio.run(run(BenchCluster(cluster, run_dir)))
        texts = [log.read_text() for log in sorted((run_dir / "logs").glob("*.log"))]
    services = [text for text in texts if '"service"' in text]
    row["warnings"] = [text.count("does not answer") for text in services]
    row["back"] = [text.count("is back") for text in services]
    row["other_warnings"] = sum(text.count('"level": "warning"') for text in services) - sum(row["warnings"])
    return row


readable_spans = ReadableSpans(process_resource({"service.name": "bench"}))


def encode(spans: list[Span]) -> bytes:
    """What the exporting thread does with a slice, but for the request: the stock encoder."""
    return encode_spans(readable_spans.readable(spans)).SerializeToString()


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
    batch = spans[-export_thread.SLICE :]
    figures["one span as OTLP"] = cpu_us(lambda: encode(batch), 200) / len(batch)
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
                if len(spans) >= export_thread.SLICE:
                    encode(spans)
                    spans.clear()
            frames.clear()
            best_us = min(best_us, (time.process_time() - started_at) / pushes * 1e6)
        fleet.close()
    return best_us


def cpu_us(function: Callable[[], object], number: int) -> float:
    """Microseconds of CPU per call, the lowest of several repetitions."""
    repetitions = timeit.repeat(function, number=number, repeat=REPETITIONS, timer=time.process_time)
    return min(repetitions) / number * 1e6


def services_us(row: dict[str, Any]) -> float:
    """CPU per push of the router and the gateways, microseconds."""
    return float(row["cpu_us"]["routers"] + row["cpu_us"]["gateways"])


def summary(rounds: list[dict[str, Any]], off: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table from its rounds: medians, and the medians of the ratios to *off* in the same round."""
    figures = {name: median(row["cpu_us"][name] for row in rounds) for name in ("routers", "gateways")}
    figures |= {name: median(row[name] for row in rounds) for name in ("p50_ms", "p99_ms")}
    pairs = list(zip(rounds, off, strict=True))
    return figures | {
        "cpu_ratio": median(services_us(row) / services_us(other) for row, other in pairs),
        "p99_ratio": median(row["p99_ms"] / other["p99_ms"] for row, other in pairs),
        "valid": sum(row["valid"] for row in rounds),
        **{name: sum(row[name] for row in rounds) for name in ("spans_sent", "spans_lost")},
    }


def measure_rounds(collector: Jaeger | ReceiverProcess, rate: float, seconds: float, rounds: int) -> dict[str, Any]:
    """All rows. Rounds are interleaved: a busy minute affects all rows."""
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
    return {name: summary(result, results["off"]) for name, result in results.items()}


def print_table(figures: dict[str, Any], stopped: dict[str, Any], parts: dict[str, float]) -> None:
    for name, row in figures.items():
        print(
            f"{name:10} router {row['routers']:6.1f} us  gateways {row['gateways']:6.1f} us  x{row['cpu_ratio']:.3f}  "
            f"p50 {row['p50_ms']:6.2f} ms  p99 {row['p99_ms']:7.2f} ms  x{row['p99_ratio']:.2f}  "
            f"router's spans {row['spans_sent']} exported {row['spans_lost']} lost  {row['valid']} rounds valid"
        )
    print(
        f"stopped    {stopped['written']} of {stopped['pushes']} written, p99 {stopped['p99_ms']:.2f} ms; warnings of "
        f"each service {stopped['warnings']}, back {stopped['back']}, others {stopped['other_warnings']}"
    )
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
        stopped = measure_stopped(collector, arguments.rate, max(arguments.seconds, 9.0))
    if arguments.json:
        print(json.dumps(figures | {"stopped": stopped, "alone": parts}))
        return
    print_table(figures, stopped, parts)


if __name__ == "__main__":
    main()
