"""Redis pub/sub, Redis Streams and Kafka in comparison: one producer, one consumer, messages of 100 B to 100 KB."""

import secrets
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.cluster.bench_cluster import BenchCluster, start_cluster
from bench.cluster.broker_clients import PRODUCERS
from bench.cluster.load import histogram
from bench.cluster.load.worker_process import WorkerProcess, worker_process
from bench.cluster.process_usage import cpu_seconds
from bench.cluster.scenario import Figures, ReportProgress
from homing.cluster.errors import CommandError
from homing.cluster.kafka import find_java, find_libs
from homing.cluster.kafka_topics import delete_topics

SIZES = (100, 1_000, 10_000, 100_000)  # bytes


def brokers(
    seconds: float, rate: float, kafka: str, report_progress: ReportProgress, sizes: tuple[int, ...] = SIZES
) -> Figures:
    """A row per broker and size, on servers that `homing up` starts. `kafka`: host:port of a running Kafka, or "".

    Without a Kafka its rows are missing, and the result's `kafka` has the reason.
    """
    with ExitStack() as stack:
        missing = "" if kafka else _missing_kafka()
        if missing:
            report_progress(f"  without Kafka: {missing}")
        kafka_arguments = ("--kafka", kafka) if kafka else ("--bus", "kafka")
        prefix = f"bench.cluster-{secrets.token_hex(4)}"  # this router must not consume a real cluster's commands
        settings = f'[events]\nname = "{prefix}.events"\n[commands]\ntopic = "{prefix}.commands"\n'
        settings += f'dead = "{prefix}.dead"\ngroup = "{prefix}"\n'
        if kafka:  # after the cluster has stopped: it would create the topics again
            stack.callback(delete_topics, kafka, prefix)
        cluster = stack.enter_context(start_cluster(1, *(() if missing else kafka_arguments), settings=settings))
        names = [name for name in PRODUCERS if name != "kafka" or cluster.kafka]
        rows = []
        for name in names:
            for size in sizes:
                report_progress(f"  {name}, {size} bytes ...")
                rows.append(_row(cluster, prefix, name, size, seconds, rate))
    return {"rows": rows, "kafka": missing or "measured", "seconds": seconds, "rate": rate}


def _missing_kafka() -> str:
    """Why no Kafka can be started here; "" when one can."""
    try:
        find_java()
        find_libs()
    except CommandError as error:
        return str(error)
    return ""


def _row(cluster: BenchCluster, prefix: str, name: str, size: int, seconds: float, rate: float) -> Figures:
    closed_loop = _measure(cluster, prefix, name, size, seconds, 0.0)
    at_rate = _measure(cluster, prefix, name, size, seconds, rate)
    return {
        "broker": name,
        "bytes": size,
        "messages_per_s": round(closed_loop["received"] / closed_loop["seconds"]),
        "mb_per_s": round(closed_loop["received"] * size / closed_loop["seconds"] / 1e6, 1),
        "cpu_us": closed_loop["cpu_us"],
        "lost": closed_loop["lost"] + at_rate["lost"],
        **histogram.quantiles(at_rate["latencies"]),
        "at_rate_cpu_us": at_rate["cpu_us"],
    }


def _measure(cluster: BenchCluster, prefix: str, name: str, size: int, seconds: float, rate: float) -> Figures:
    """One run of a producer and a consumer. `rate` 0: a closed loop."""
    address = cluster.kafka if name == "kafka" else cluster.redis
    server_pids = cluster.pids.get("kafka" if name == "kafka" else "redis", [])
    with tempfile.NamedTemporaryFile(prefix="homing-bench-") as counter, ExitStack() as stack:
        Path(counter.name).write_bytes(bytes(8))
        channel = f"{prefix}.{name.replace(' ', '-').replace('/', '-')}-{size}-{rate:.0f}"
        settings: Figures = {"broker": name, "address": address, "channel": channel, "counter": counter.name}
        settings |= {"size": size, "rate": rate, "seconds": seconds}
        consumer = stack.enter_context(worker_process("bench.cluster.broker_worker", role="consume", **settings))
        producer = stack.enter_context(worker_process("bench.cluster.broker_worker", role="produce", **settings))
        before = _cpu_seconds(producer, consumer, server_pids)
        consumer.send({})
        producer.send({})
        produced = producer.receive()
        consumer.send({"expected": produced["sent"]})
        consumed = consumer.receive()
        after = _cpu_seconds(producer, consumer, server_pids)
    received = max(1, consumed["received"])
    cpu_us = {kind: round((after[kind] - before[kind]) / received * 1e6, 1) for kind in before}
    return {**consumed, "lost": produced["sent"] - consumed["received"], "cpu_us": cpu_us}


def _cpu_seconds(producer: WorkerProcess, consumer: WorkerProcess, server_pids: list[int]) -> dict[str, float]:
    """Seconds of CPU; without "broker" for a server that this run did not start."""
    used = {"producer": producer.cpu_seconds(), "consumer": consumer.cpu_seconds()}
    return used | ({"broker": sum(map(cpu_seconds, server_pids))} if server_pids else {})


def table(result: Figures) -> str:
    """The result as a table."""
    lines: list[tuple[str, ...]] = [
        ("broker", "bytes", "messages/s", "MB/s", "us producer", "us consumer", "us broker", "p50 ms", "p99 ms", "lost")
    ]
    for row in result["rows"]:
        cpu = [str(row["cpu_us"].get(kind, "-")) for kind in ("producer", "consumer", "broker")]
        cells = [row[name] for name in ("broker", "bytes", "messages_per_s", "mb_per_s")]
        lines.append((*map(str, cells), *cpu, *(str(row[name]) for name in ("p50_ms", "p99_ms", "lost"))))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    note = (
        f"p50 and p99 at {result['rate']:.0f} messages a second; the other columns at the highest throughput; "
        "lost: messages sent and not received, in both"
    )
    return "\n".join([*text, note, *([] if result["kafka"] == "measured" else [f"no Kafka: {result['kafka']}"])])
