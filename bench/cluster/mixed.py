"""What a push to one user waits while pushes to a crowd run through the same gateways."""

import time
from collections.abc import Callable
from typing import Any

from bench.cluster.load import histogram
from bench.cluster.load.crowds import Crowds, crowd_of
from bench.cluster.load.pushers import Pusher, kept_up, pusher, report_latencies
from bench.cluster.rig import Cluster

USERS = 300  # of the pushes to one user, on all gateways; they view nothing
CONNECT_RATE = 700.0  # a second
Say = Callable[[str], None]


def mixed(cluster: Cluster, viewers: int, rate: float, file_rate: float, seconds: float, say: Say) -> dict[str, Any]:
    """Latency of `rate` pushes a second to one user each, alone and while `file_rate` go to a file of `viewers`."""
    with crowd_of(cluster, USERS) as users, crowd_of(cluster, viewers, file="all", name="viewers") as watching:
        users.open_all(USERS, CONNECT_RATE, first=viewers)
        watching.open_all(viewers, CONNECT_RATE, say=lambda told: say(f"  {told.live} of {viewers} viewers are there"))
        with pusher(cluster) as single:
            say("  unicast alone ...")
            alone = _series(single, users, viewers, rate, seconds / 2, kind=0)
            with pusher(cluster, "file pusher") as many:
                say("  unicast beside pushes to the file ...")
                before = cluster.used()
                many.begin(target="file", names="all", count=1, rate=file_rate, seconds=seconds, kind=1)
                beside = _series(single, users, viewers, rate, seconds, kind=2)
                told = many.wait(seconds)
                after = cluster.used()
        expected = told["number"] * viewers
        watching.wait(lambda counts: counts.pushes >= expected, 2.0)
        counts = watching.counts()
    return {
        "alone": alone,
        "beside": beside,
        "file_pushes": told["number"],
        "viewers": viewers,
        "delivered": told["outcomes"].get("WRITTEN", 0),
        "expected": expected,
        "received": counts.pushes,
        "cpu_s": {kind: round(after[kind] - before[kind], 2) for kind in before},
        "complaints": cluster.complaints(),
        **{f"file_{name}": value for name, value in histogram.quantiles(counts.latencies[1]).items()},
        "valid": alone["valid"] and beside["valid"] and kept_up(told) and counts.pushes == expected,
    }


def _series(single: Pusher, users: Crowds, first: int, rate: float, seconds: float, kind: int) -> dict[str, Any]:
    """One run of pushes to one user each."""
    got = users.counts().pushes
    names = [f"user-{first + turn}" for turn in range(USERS)]
    single.begin(target="user", names=names, count=USERS, rate=rate, seconds=seconds, kind=kind)
    told = single.wait(seconds)
    time.sleep(0.3)
    counts = users.counts()
    return {
        "pushes": told["number"],
        "written": told["outcomes"].get("WRITTEN", 0),
        "received": counts.pushes - got,
        **histogram.quantiles(counts.latencies[kind]),
        **report_latencies(told),
        "valid": kept_up(told) and counts.pushes - got == told["number"],
    }
