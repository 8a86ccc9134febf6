"""What a push to many costs, a delivered message."""

from typing import Any

from bench.cluster.load import histogram
from bench.cluster.load.crowds import crowd_of, crowds
from bench.cluster.load.pushers import kept_up, pusher, report_latencies
from bench.cluster.rig import Cluster, floor, per
from bench.cluster.targets import PAYLOAD

CONNECT_RATE = 800.0  # a second, while nothing is measured
ENVELOPE = 60  # bytes around the data


def fanout(cluster: Cluster, clients: int, rate: float, seconds: float) -> dict[str, Any]:
    """CPU per delivered message of a push to one file that everybody has joined."""
    with crowd_of(cluster, clients, file="all") as crowd, pusher(cluster) as pushing:
        crowd.open_all(clients, CONNECT_RATE)
        before = cluster.used()
        pushing.begin(target="file", names="all", count=1, rate=rate, seconds=seconds, size=PAYLOAD)
        told = pushing.wait(seconds)
        after = cluster.used()
        expected = told["number"] * clients
        crowd.wait(lambda counts: counts.pushes >= expected, 2.0)
        counts = crowd.counts()
    delivered = told["outcomes"].get("WRITTEN", 0)
    used = per(before, after, max(1, delivered))
    floor_us = write_floor(clients)
    return {
        "delivered": delivered,
        "expected": expected,
        "received": counts.pushes,
        "cpu_us": used,
        "floor_us": round(floor_us, 2),
        "gateway_to_floor": round(used["gateways"] / floor_us, 2),
        **histogram.quantiles(counts.latencies[0]),
        **report_latencies(told),
        "valid": kept_up(told) and delivered == expected == counts.pushes,
    }


def write_floor(clients: int, frames: int = 20) -> float:
    """Microseconds of CPU of a bare loop of send(), a write."""
    with floor("write") as bare, crowds([f"ws://127.0.0.1:{bare.port}/ws"], b"", clients, protocol="") as crowd:
        bare.write(f"0 0 {clients}")
        crowd.open_all(clients, 2000.0)
        bare.read()
        bare.write(f"{frames} {PAYLOAD + ENVELOPE} {clients}")
        return float(bare.read())
