"""A reconnect storm: all clients reconnect at once. How long until all are connected again, and at what cost."""

import os
import signal
import time

from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.load import histogram
from bench.cluster.load.client_pool import ClientCounts, ClientPool, cluster_clients
from bench.cluster.load.outcomes import reconcile
from bench.cluster.load.push_generator import push_generator
from bench.cluster.process_usage import cpu_us_per_operation
from bench.cluster.scenario import Figures, ReportProgress

SETTLE_TIME = 3.0  # seconds before memory is read
PUSH_RATE = 2000.0  # pushes a second, to verify that every client can be reached again
HEARTBEAT_CODE = "4408"  # the close code of a client that answers no ping


def storm(
    cluster: BenchCluster, users: int, connect_rate: float, rate: float, kill: bool, report_progress: ReportProgress
) -> Figures:
    """`users` connect, `connect_rate` a second, lose their connections and reconnect, `rate` a second in all.

    With `kill` a gateway is killed, and its users reconnect to the others; else all sockets are closed at once. Then
    each user receives one push, whose outcome shows whether the routes are correct again.
    """
    with cluster_clients(cluster, users) as pool:
        pool.open_all(
            users, connect_rate, on_progress=lambda counts: report_progress(f"  {counts.live} of {users} connected")
        )
        time.sleep(SETTLE_TIME)
        killed_pid = cluster.pids["gateways"].pop(0) if kill else 0  # no reading includes the killed gateway
        steady, before = cluster.rss_bytes(), cluster.cpu_seconds()
        pool.reset_latencies()
        counts = pool.counts()
        lost = _kill_gateway(killed_pid, cluster, pool, rate) if kill else _drop_all(pool, users, rate)
        observer = ReconnectObserver(cluster, pool, users, counts.connected, report_progress)
        reconnected = observer.wait(lost, timeout=lost / rate * 5 + 60)
        after, counts = cluster.cpu_seconds(), pool.counts()
        time.sleep(SETTLE_TIME)
        return {
            "reconnected": reconnected,
            "seconds": round(observer.seconds, 1),
            "offered_per_s": rate,
            "connects_per_s": round(reconnected / observer.seconds),
            "cpu_us": cpu_us_per_operation(before, after, max(1, reconnected)),
            "rss_steady_mb": round(steady / 1e6, 1),
            "rss_peak_mb": round(observer.peak_rss / 1e6, 1),
            "peak_to_steady": round(observer.peak_rss / steady, 2),
            "rss_after_mb": round(cluster.rss_bytes() / 1e6, 1),
            "refused": dict(counts.refused),
            "heartbeats_missed": counts.closes[HEARTBEAT_CODE],
            "closes": dict(counts.closes),
            **{f"connect_{name}": value for name, value in histogram.quantiles(counts.connects).items()},
            **_push_to_all(cluster, pool, users),
            "log_warnings": cluster.log_warnings(),
            "valid": reconnected == lost and pool.counts().live == users,
        }


def _drop_all(pool: ClientPool, users: int, rate: float) -> int:
    """Close all sockets. Returns the number of lost connections."""
    pool.drop(True, rate)
    return users


def _kill_gateway(pid: int, cluster: BenchCluster, pool: ClientPool, rate: float) -> int:
    """Kill the first gateway. Returns the number of connections that it had."""
    gateways = len(cluster.urls)
    lost = (pool.counts().live + gateways - 1) // gateways  # user n is connected to urls[n % gateways]
    pool.redirect(cluster.urls[1:], reconnect=True, rate=rate)
    os.kill(pid, signal.SIGKILL)
    return lost


class ReconnectObserver:
    """Waits until all clients are connected again. Measures the duration and the gateways' peak memory."""

    def __init__(
        self, cluster: BenchCluster, pool: ClientPool, users: int, connected: int, report_progress: ReportProgress
    ) -> None:
        self._cluster, self._pool, self._users = cluster, pool, users
        self._connected_before, self._report_progress = connected, report_progress
        self.peak_rss = 0
        self.seconds = 0.0

    def wait(self, lost: int, timeout: float) -> int:
        """The number of clients that reconnected within `timeout` seconds."""
        started_at = time.monotonic()

        def all_reconnected(counts: ClientCounts) -> bool:
            self.peak_rss = max(self.peak_rss, self._cluster.rss_bytes())
            return counts.connected - self._connected_before >= lost and counts.live >= self._users

        def on_progress(counts: ClientCounts) -> None:
            refused = f", refused so far {sum(counts.refused.values())}" if counts.refused else ""
            self._report_progress(f"  {counts.connected - self._connected_before} of {lost} reconnected{refused}")

        self._pool.wait(all_reconnected, timeout, on_progress)
        self.seconds = time.monotonic() - started_at
        return self._pool.counts().connected - self._connected_before


def _push_to_all(cluster: BenchCluster, pool: ClientPool, users: int) -> Figures:
    """One push to each user."""
    with push_generator(cluster) as pusher:
        seconds = users / PUSH_RATE
        pusher.start(target="user", names="user-%d", count=users, rate=PUSH_RATE, seconds=seconds)
        pushed = pusher.wait(seconds)
        pool.wait(lambda counts: counts.pushes >= pushed["sent"], 2.0)
        reconciled = reconcile(pusher.outcome_codes(), pool.received(0))
    return {"outcomes_after": pushed["outcomes"], **reconciled}
