"""The cost of a push to many receivers, per delivered message."""

from typing import Any

from bench.cluster.baseline import baseline_server
from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.client_endpoints import PAYLOAD_BYTES
from bench.cluster.load import histogram
from bench.cluster.load.client_pool import client_pool, cluster_clients
from bench.cluster.load.push_generator import kept_pace, push_generator, report_latencies
from bench.cluster.process_usage import cpu_us_per_operation

CONNECT_RATE = 800.0  # a second, before the measurement
ENVELOPE_BYTES = 60  # around the data


def fanout(cluster: BenchCluster, clients: int, rate: float, seconds: float) -> dict[str, Any]:
    """CPU per delivered message of pushes to one file that all clients have joined."""
    with cluster_clients(cluster, clients, file="all") as pool, push_generator(cluster) as pusher:
        pool.open_all(clients, CONNECT_RATE)
        before = cluster.cpu_seconds()
        pusher.start(target="file", names="all", count=1, rate=rate, seconds=seconds, size=PAYLOAD_BYTES)
        pushed = pusher.wait(seconds)
        after = cluster.cpu_seconds()
        expected = pushed["total"] * clients
        pool.wait(lambda counts: counts.pushes >= expected, 2.0)
        counts = pool.counts()
    delivered = pushed["outcomes"].get("WRITTEN", 0)
    cpu_us = cpu_us_per_operation(before, after, max(1, delivered))
    baseline_us = baseline_write_us(clients)
    return {
        "delivered": delivered,
        "expected": expected,
        "received": counts.pushes,
        "cpu_us": cpu_us,
        "baseline_us": round(baseline_us, 2),
        "gateway_to_baseline": round(cpu_us["gateways"] / baseline_us, 2),
        **histogram.quantiles(counts.latencies[0]),
        **report_latencies(pushed),
        "valid": kept_pace(pushed) and delivered == expected == counts.pushes,
    }


def baseline_write_us(clients: int, frames: int = 20) -> float:
    """Microseconds of CPU per write of a plain loop of send()."""
    with (
        baseline_server("write") as baseline,
        client_pool([f"ws://127.0.0.1:{baseline.port}/ws"], b"", clients, protocol="") as pool,
    ):
        baseline.write_line(f"0 0 {clients}")
        pool.open_all(clients, 2000.0)
        baseline.read_line()
        baseline.write_line(f"{frames} {PAYLOAD_BYTES + ENVELOPE_BYTES} {clients}")
        return float(baseline.read_line())
