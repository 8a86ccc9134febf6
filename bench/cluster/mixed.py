"""The latency of a push to one user while pushes to a file with many viewers run through the same gateways."""

import time

from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.load import histogram
from bench.cluster.load.client_pool import ClientPool, cluster_clients
from bench.cluster.load.push_generator import PushGenerator, kept_pace, push_generator, report_latencies
from bench.cluster.scenario import Figures, ReportProgress

USERS = 300  # receivers of the pushes to one user, on all gateways; none of them views the file
CONNECT_RATE = 700.0  # a second


def mixed(
    cluster: BenchCluster,
    viewers: int,
    rate: float,
    file_rate: float,
    seconds: float,
    report_progress: ReportProgress,
) -> Figures:
    """Latency of `rate` pushes a second to one user each: alone, then beside `file_rate` to a file of `viewers`."""
    with (
        cluster_clients(cluster, USERS) as users,
        cluster_clients(cluster, viewers, file="all", name="viewers") as file_viewers,
    ):
        users.open_all(USERS, CONNECT_RATE, first=viewers)
        file_viewers.open_all(
            viewers,
            CONNECT_RATE,
            on_progress=lambda counts: report_progress(f"  {counts.live} of {viewers} viewers connected"),
        )
        with push_generator(cluster) as user_pusher:
            report_progress("  unicast alone ...")
            alone = _unicast(user_pusher, users, viewers, rate, seconds / 2, kind=0)
            with push_generator(cluster, "file pusher") as file_pusher:
                report_progress("  unicast beside pushes to the file ...")
                before = cluster.cpu_seconds()
                file_pusher.start(target="file", names="all", count=1, rate=file_rate, seconds=seconds, kind=1)
                beside = _unicast(user_pusher, users, viewers, rate, seconds, kind=2)
                pushed = file_pusher.wait(seconds)
                after = cluster.cpu_seconds()
        expected = pushed["total"] * viewers
        file_viewers.wait(lambda counts: counts.pushes >= expected, 2.0)
        counts = file_viewers.counts()
    return {
        "alone": alone,
        "beside": beside,
        "file_pushes": pushed["total"],
        "viewers": viewers,
        "delivered": pushed["outcomes"].get("WRITTEN", 0),
        "expected": expected,
        "received": counts.pushes,
        "cpu_s": {kind: round(after[kind] - before[kind], 2) for kind in before},
        "log_warnings": cluster.log_warnings(),
        **{f"file_{name}": value for name, value in histogram.quantiles(counts.latencies[1]).items()},
        "valid": alone["valid"] and beside["valid"] and kept_pace(pushed) and counts.pushes == expected,
    }


def _unicast(pusher: PushGenerator, users: ClientPool, first: int, rate: float, seconds: float, kind: int) -> Figures:
    """One series of pushes to one user each."""
    received_before = users.counts().pushes
    names = [f"user-{first + index}" for index in range(USERS)]
    pusher.start(target="user", names=names, count=USERS, rate=rate, seconds=seconds, kind=kind)
    pushed = pusher.wait(seconds)
    time.sleep(0.3)
    counts = users.counts()
    received = counts.pushes - received_before
    return {
        "pushes": pushed["total"],
        "written": pushed["outcomes"].get("WRITTEN", 0),
        "received": received,
        **histogram.quantiles(counts.latencies[kind]),
        **report_latencies(pushed),
        "valid": kept_pace(pushed) and received == pushed["total"],
    }
