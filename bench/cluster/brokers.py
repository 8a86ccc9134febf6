"""Redis pub/sub, Redis Streams and Kafka for the job they have here: one producer, one consumer, small to large."""

import secrets
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.cluster import rig
from bench.cluster.brokerlinks import PRODUCERS
from bench.cluster.load import histogram
from bench.cluster.load.loadprocess import LoadProcess, load_process
from homing.cluster.kafka import find_java, find_libs
from homing.cluster.topics import forget_topics
from homing.cluster.trouble import CommandError

SIZES = (100, 1_000, 10_000, 100_000)  # bytes
Row = dict[str, Any]
Say = Callable[[str], None]


def brokers(seconds: float, rate: float, kafka: str, say: Say, sizes: tuple[int, ...] = SIZES) -> Row:
    """A row for each broker and size, on servers that `homing up` starts. Without a Kafka its rows are missing, and
    `kafka` says why."""
    with ExitStack() as stack:
        why = "" if kafka else _no_kafka()
        if why:
            say(f"  without Kafka: {why}")
        with_kafka = ("--kafka", kafka) if kafka else ("--bus", "kafka")
        ours = f"bench.cluster-{secrets.token_hex(4)}"  # its router must not take a real cluster's commands
        settings = f'[events]\nname = "{ours}.events"\n[commands]\ntopic = "{ours}.commands"\n'
        settings += f'dead = "{ours}.dead"\ngroup = "{ours}"\n'
        if kafka:  # not ours: once nobody is left who would make them again
            stack.callback(forget_topics, kafka, ours)
        cluster = stack.enter_context(rig.cluster(1, *(() if why else with_kafka), settings=settings))
        known = [name for name in PRODUCERS if name != "kafka" or cluster.kafka]
        rows = []
        for name in known:
            for size in sizes:
                say(f"  {name}, {size} bytes ...")
                rows.append(_row(cluster, ours, name, size, seconds, rate))
    return {"rows": rows, "kafka": why or "measured", "seconds": seconds, "rate": rate}


def _no_kafka() -> str:
    """Why none can be started here; "" when one can."""
    try:
        find_java()
        find_libs()
    except CommandError as trouble:
        return str(trouble)
    return ""


def _row(cluster: rig.Cluster, ours: str, name: str, size: int, seconds: float, rate: float) -> Row:
    fast = _measure(cluster, ours, name, size, seconds, 0.0)
    paced = _measure(cluster, ours, name, size, seconds, rate)
    return {
        "broker": name,
        "bytes": size,
        "messages_per_s": round(fast["got"] / fast["seconds"]),
        "mb_per_s": round(fast["got"] * size / fast["seconds"] / 1e6, 1),
        "cpu_us": fast["cpu_us"],
        "lost": fast["lost"] + paced["lost"],
        **histogram.quantiles(paced["latencies"]),
        "paced_cpu_us": paced["cpu_us"],
    }


def _measure(cluster: rig.Cluster, ours: str, name: str, size: int, seconds: float, rate: float) -> Row:
    """One run of both processes."""
    address = cluster.kafka if name == "kafka" else cluster.redis
    server = cluster.pids.get("kafka" if name == "kafka" else "redis", [])
    with tempfile.NamedTemporaryFile(prefix="homing-bench-") as counter, ExitStack() as stack:
        Path(counter.name).write_bytes(bytes(8))
        channel = f"{ours}.{name.replace(' ', '-').replace('/', '-')}-{size}-{rate:.0f}"
        told: Row = {"broker": name, "address": address, "channel": channel, "counter": counter.name}
        told |= {"size": size, "rate": rate, "seconds": seconds}
        consumer = stack.enter_context(load_process("bench.cluster.broker_worker", role="consume", **told))
        producer = stack.enter_context(load_process("bench.cluster.broker_worker", role="produce", **told))
        before = _used(producer, consumer, server)
        consumer.write({})
        producer.write({})
        sent = producer.read()
        consumer.write({"expected": sent["sent"]})
        heard = consumer.read()
        after = _used(producer, consumer, server)
    got = max(1, heard["got"])
    cpu_us = {kind: round((after[kind] - before[kind]) / got * 1e6, 1) for kind in before}
    return {**heard, "got": heard["got"], "lost": sent["sent"] - heard["got"], "cpu_us": cpu_us}


def _used(producer: LoadProcess, consumer: LoadProcess, server: list[int]) -> dict[str, float]:
    """Seconds of CPU; a broker that we did not start is not ours to look at."""
    used = {"producer": producer.used(), "consumer": consumer.used()}
    return used | ({"broker": sum(map(rig.cpu_of, server))} if server else {})


def table(told: Row) -> str:
    """For people."""
    lines: list[tuple[str, ...]] = [
        ("broker", "bytes", "messages/s", "MB/s", "us producer", "us consumer", "us broker", "p50 ms", "p99 ms", "lost")
    ]
    for row in told["rows"]:
        cpu = [str(row["cpu_us"].get(kind, "-")) for kind in ("producer", "consumer", "broker")]
        cells = [row[name] for name in ("broker", "bytes", "messages_per_s", "mb_per_s")]
        lines.append((*map(str, cells), *cpu, *(str(row[name]) for name in ("p50_ms", "p99_ms", "lost"))))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    note = f"p50 and p99 at {told['rate']:.0f} messages a second; the rest as fast as it goes"
    return "\n".join([*text, note, *([] if told["kafka"] == "measured" else [f"no Kafka: {told['kafka']}"])])
