"""What tracing costs a push, and what a collector that stops under load does to it (nothing).

    python -m bench.micro.tracing [--rate N] [--seconds N] [--rounds N] [--json]

Each row is a cluster of its own: three gateways, one router, unicast pushes through PushStream, open loop. *off*: no
collector. *unsampled*: a collector, and callers whose traceparent says that nobody keeps this trace. *1 %*: one push in
a hundred is sampled by ratio. *sampled*: every push, four spans each. *stopped*: sampled, and the collector is stopped
for the middle third of the run. CPU is that of all processes of a kind, divided by the pushes; the round with the
lowest p99 counts. Jaeger is used where `make jaeger` has built it.
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

from bench.cluster import rig
from bench.cluster.unicast import unicast
from gateway.delivery.fanout import Fanout, PushJob
from gateway.delivery.traces import PushTrace as NodePushTrace
from gateway.sessions.budget import Budget
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
from tests.support.wire import RecordingDesk, connection_of, open_session

UNSAMPLED = f"00-{1:032x}-{1:016x}-00"
CLIENTS = 300
GATEWAYS = 3


@contextlib.contextmanager
def cluster(**environment: str) -> Iterator[tuple[rig.Cluster, Path]]:
    """`homing up` with these variables; also where its logs are."""
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "homing", "up", "--gateways", str(GATEWAYS), "--run-dir", str(run_dir)]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        up = subprocess.Popen([*command, "--json"], stdout=pipe, stderr=null, env={**os.environ, **environment})
        assert up.stdout is not None
        try:
            yield rig.Cluster(json.loads(up.stdout.readline()), run_dir), run_dir / "logs"
        finally:
            up.terminate()
            up.wait()
            up.stdout.close()


@contextlib.contextmanager
def collector() -> Iterator[Collector]:
    """Jaeger, or the receiver that tests use."""
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        made: Collector = Jaeger(Path(folder)) if JAEGER.exists() else Receiver()
        try:
            yield made
        finally:
            made.stop()


def sampled(n: int) -> str:
    return f"00-{secrets.token_hex(16)}-{n + 1:016x}-01"


def measure(rate: float, seconds: float, trace: str, url: str, ratio: float) -> dict[str, Any]:
    """One row, once."""
    told = {"HOMING_TRACE__OTLP": url, "HOMING_TRACE__RATIO": str(ratio)} if url else {}
    with cluster(**told) as (running, _):
        return unicast(running, CLIENTS, rate, seconds, unary=False, trace=trace)


def stopped(there: Collector, rate: float, seconds: float) -> dict[str, Any]:
    """The collector is away for the middle third: what was lost, what was said."""

    async def run(running: rig.Cluster) -> dict[str, Any]:
        async def interrupt() -> None:
            await asyncio.sleep(seconds / 3)
            await asyncio.to_thread(there.stop)
            await asyncio.sleep(seconds / 3)
            await asyncio.to_thread(there.restart)

        interrupting = asyncio.ensure_future(interrupt())
        row = await asyncio.to_thread(unicast, running, CLIENTS, rate, seconds, unary=False, trace="sampled")
        await interrupting
        await asyncio.sleep(3)  # the collector is found again within a second, and what waited is sent
        return row

    with cluster(HOMING_TRACE__OTLP=there.url) as (running, logs):
        row = asyncio.run(run(running))
        texts = [log.read_text() for log in sorted(logs.glob("*.log"))]
    services = [text for text in texts if '"service"' in text]
    row["warnings"] = [text.count("does not answer") for text in services]
    row["back"] = [text.count("is back") for text in services]
    row["other_warnings"] = sum(text.count('"level": "warning"') for text in services) - sum(row["warnings"])
    return row


def micro() -> dict[str, float]:
    """Microseconds of CPU of what one push goes through in one process, without a cluster around it."""
    held: list[Span] = []
    tracer = Tracer(held.append, ratio=1.0)
    one_percent = Tracer(held.append, ratio=0.01)
    push = CheckedPush(Target(user="u"), "e", b"{}", "", "p", 30.0, 0.0, (), 100, "", 514)
    leg, report = Leg(Incarnation("g0", 1)), router_pb2.PushReport(counts={"WRITTEN": 1})
    answer = node_pb2.PushAnswer(verdict=node_pb2.DONE)

    def router_spans() -> None:
        context = tracer.begin("")
        assert context is not None
        trace = PushTrace(tracer, context, push, 0)
        trace.planned({leg.incarnation: leg})
        trace.hop(leg).answered(answer)
        trace.landed(report)

    figures = {
        "off": cost(lambda: OFF.begin(""), 200_000),
        "unsampled by its caller": cost(lambda: tracer.begin(UNSAMPLED), 200_000),
        "unsampled by a ratio of 1 %": cost(lambda: one_percent.begin(""), 200_000),
        "three spans of the router": cost(router_spans, 20_000),
    }
    encoder, batch = otlp.Encoder({"service.name": "bench"}), held[-otlp.BATCH :]
    encode = cost(lambda: encoder.encode(batch).SerializeToString(), 200)
    figures["one span as OTLP"] = encode / len(batch)
    untraced_tracer = Tracer(held.append, ratio=0.0)
    for name, used, traceparent in (
        ("a push in one process, off", OFF, ""),
        ("the same, unsampled", untraced_tracer, UNSAMPLED),
        ("the same, sampled: four spans, encoded", untraced_tracer, sampled(0)),
    ):
        figures[name] = asyncio.run(one_process(used, held, traceparent))
    return figures


async def one_process(tracer: Tracer, held: list[Span], traceparent: str, pushes: int = 5_000) -> float:
    """Microseconds of CPU of a push through the router's delivery and a node's fan-out, with no transport between
    them; spans are encoded too. What batches gather on a busy machine does not blur it."""
    feed, counted = TableFeed(), counters(names.GATEWAY)
    session = open_session(RecordingDesk(), 1)
    fanout, budget, frames = Fanout(), Budget(), connection_of(session).frames

    def serve(message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        answers = node_pb2.NodeMessage()
        for push in message.pushes:
            context = tracer.continued(push.traceparent) if push.traceparent else None
            if context is None:
                job = PushJob(push, (session,), 0, time.monotonic_ns, answers.pushes.append)
            else:
                trace = NodePushTrace(tracer, context, push, "r", "g0")
                job = trace.job((session,), 0, time.monotonic_ns, answers.pushes.append, None)
            fanout.add(job)
            fanout.turn(budget, counted)
        return answers

    fleet = Fleet(feed, lambda incarnation, _node, on_change: MemoryHop(incarnation, serve, on_change))
    routed = Routed(feed, fleet, counters(names.ROUTER), tracer)
    running = asyncio.ensure_future(fleet.run())
    await asyncio.sleep(0)
    feed.session(feed.node("g0"), "u", 1)
    push = CheckedPush(Target(user="u"), "e", b"{}", "", "p", 30.0, 0.0, (), 100, traceparent, 514)
    encoder = otlp.Encoder({"service.name": "bench"})
    best_us = math.inf
    for _ in range(5):
        held.clear()
        began = time.process_time()
        for _ in range(pushes):
            await routed.push(push, time.monotonic_ns())
            if len(held) >= otlp.BATCH:
                encoder.encode(held).SerializeToString()
                held.clear()
        frames.clear()
        best_us = min(best_us, (time.process_time() - began) / pushes * 1e6)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return best_us


def cost(function: Callable[[], object], number: int) -> float:
    """The best of five."""
    return min(timeit.repeat(function, number=number, repeat=5, timer=time.process_time)) / number * 1e6


def best(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The round that was disturbed least: on a busy machine more gathers in a batch, and a push seems to cost less."""
    return min([row for row in rows if row["valid"]] or rows, key=lambda row: float(row["p99_ms"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    alone = micro()
    with collector() as there:
        rows = {
            "off": ("", "", 1.0),
            "unsampled": ("unsampled", there.url, 1.0),
            "1 %": ("", there.url, 0.01),
            "sampled": ("sampled", there.url, 1.0),
        }
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
        for _ in range(asked.rounds):  # one after the other, so that a busy minute hits all of them
            for name, (trace, url, ratio) in rows.items():
                runs[name].append(measure(asked.rate, asked.seconds, trace, url, ratio))
        away = stopped(there, asked.rate, max(asked.seconds, 9.0))
    figures: dict[str, Any] = {name: best(rounds) for name, rounds in runs.items()} | {"stopped": away}
    if asked.json:
        print(json.dumps(figures | {"alone": alone}))
        return
    for name, row in figures.items():
        used = row["cpu_us"]
        print(
            f"{name:10} router {used['routers']:6.1f} us  gateways {used['gateways']:6.1f} us  "
            f"p50 {row['p50_ms']:6.2f} ms  p99 {row['p99_ms']:7.2f} ms  "
            f"{row['written']} of {row['pushes']} written  {'valid' if row['valid'] else 'INVALID'}"
        )
    row = figures["stopped"]
    print(f"stopped    warnings of each service {row['warnings']}, back {row['back']}, others {row['other_warnings']}")
    for name, us in alone.items():
        print(f"alone      {us:7.3f} us  {name}")


if __name__ == "__main__":
    main()
