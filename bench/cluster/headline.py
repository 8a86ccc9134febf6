"""The article's headline, 500,000 users on one machine: as many idle registered sessions as this machine holds.

Clients, gateways, router, etcd and Redis share the machine. The run stops when memory is short or connects fail.
"""

import math
import time

from bench.cluster import machine
from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.load.client_pool import ClientCounts, ClientPool, cluster_clients
from bench.cluster.scenario import Figures, ReportProgress

SESSIONS_PER_GATEWAY = 18_000  # below the usual limit of 20,000 files
MIN_FREE_BYTES = 1_500_000_000  # with less memory available the run stops
STALL_TIMEOUT = 20.0  # seconds without a new client after which the run stops
MAX_FAILURE_SHARE = 0.02  # of the clients: with more of them refused or lost the run stops
ROW_CLIENTS = 50_000  # clients between two rows of the table
SETTLE_TIME = 10.0  # seconds of idling at the end
PARTS = ("gateways", "routers", "etcd", "redis", "clients")


def gateways_for(users: int, sessions_per_gateway: int = SESSIONS_PER_GATEWAY) -> int:
    """The number of gateway processes for so many users."""
    return math.ceil(users / sessions_per_gateway)


def settings(heartbeat: float) -> str:
    """The gateways' configuration: an idle client is pinged every `heartbeat` seconds."""
    timeout = min(heartbeat, max(20.0, heartbeat / 2))
    return f"[gateway.heartbeat]\ninterval = {heartbeat:.1f}\ntimeout = {timeout:.1f}\ngrowth = 1.0\n"


def headline(
    cluster: BenchCluster, users: int, rate: float, report_progress: ReportProgress, min_free: int = MIN_FREE_BYTES
) -> Figures:
    """Connect up to `users`, `rate` a second, until a stop condition holds. Memory per session, by part."""
    with cluster_clients(cluster, users) as pool:
        memory_before = MemoryUsage(cluster)
        condition = StopCondition(min_free)
        before, started_at = cluster.cpu_seconds(), time.monotonic()
        rows = _connect(cluster, pool, users, rate, condition, report_progress)
        seconds, after = time.monotonic() - started_at, cluster.cpu_seconds()
        reached = pool.counts().live
        report_progress(f"  {reached} connected; idling {SETTLE_TIME:.0f} s ...")
        idle = _idle_cpu_percent(cluster)
        memory, counts = MemoryUsage(cluster), pool.counts()
        return {
            "requested": users,
            "reached": counts.live,
            "stopped_by": condition.reason or "nothing: all users connected",
            "offered_per_s": rate,
            "connects_per_s": round(reached / seconds),
            "seconds": round(seconds, 1),
            "cpu_us_per_connect": {
                kind: round((after[kind] - before[kind]) / max(1, reached) * 1e6, 1) for kind in after
            },
            "kb_per_session": memory.kb_per_session(memory_before, max(1, counts.live)),
            "gb": memory.gb(),
            "free_gb": round(machine.available_bytes() / 1e9, 2),
            "idle_cpu_percent": idle,
            "refused": dict(counts.refused),
            "closes": dict(counts.closes),
            "steps": rows,
            "log_warnings": cluster.log_warnings(),
        }


class MemoryUsage:
    """The memory of each part at this moment."""

    def __init__(self, cluster: BenchCluster) -> None:
        self._bytes = {kind: cluster.rss_bytes(kind) for kind in PARTS} | {"kernel": machine.kernel_bytes()}

    def kb_per_session(self, before: "MemoryUsage", sessions: int) -> dict[str, float]:
        """The growth since `before` in KB per session, by part; the kernel has both ends of each connection."""
        growth = {kind: self._bytes[kind] - before._bytes[kind] for kind in self._bytes}
        return {kind: round(grown / sessions / 1024, 2) for kind, grown in growth.items()}

    def gb(self) -> dict[str, float]:
        """GB by part."""
        return {kind: round(used / 1e9, 2) for kind, used in self._bytes.items()}


class StopCondition:
    """Decides whether the run stops: too little memory, failing connects, lost connections, or no progress."""

    def __init__(self, min_free: int) -> None:
        self._min_free = min_free
        self._max_live = 0
        self._progress_at = time.monotonic()
        self.reason = ""

    def check(self, counts: ClientCounts) -> str:
        """The reason to stop; "" to continue."""
        now, free = time.monotonic(), machine.available_bytes()
        if counts.live > self._max_live:
            self._max_live, self._progress_at = counts.live, now
        refused, lost = sum(counts.refused.values()), counts.lost
        if free < self._min_free:
            self.reason = f"memory: {free / 1e9:.1f} GB is left"
        elif refused > 100 and refused > counts.connected * MAX_FAILURE_SHARE:
            self.reason = f"connects fail: {dict(counts.refused)}"
        elif lost > 100 and lost > counts.connected * MAX_FAILURE_SHARE:
            self.reason = f"connections are lost: {dict(counts.closes)}"
        elif now - self._progress_at > STALL_TIMEOUT:
            self.reason = f"no new client within {STALL_TIMEOUT:.0f} s"
        return self.reason


def _connect(
    cluster: BenchCluster,
    pool: ClientPool,
    users: int,
    rate: float,
    condition: StopCondition,
    report_progress: ReportProgress,
) -> list[Figures]:
    """Connect the users. A row per 50,000: the rate and the CPU cost of the latest connects."""
    rows: list[Figures] = []
    last_live, last_cpu, last_time = 0, cluster.cpu_seconds(), time.monotonic()
    pool.open(users, rate)

    def finished(counts: ClientCounts) -> bool:
        nonlocal last_live, last_cpu, last_time
        all_connected = counts.live >= users
        if counts.live - last_live >= ROW_CLIENTS or (all_connected and counts.live > last_live):
            now, cpu = time.monotonic(), cluster.cpu_seconds()
            connected = counts.live - last_live
            cpu_us = {kind: round((cpu[kind] - last_cpu[kind]) / connected * 1e6) for kind in cpu}
            connects_per_s = round(connected / (now - last_time))
            rows.append({"live": counts.live, "connects_per_s": connects_per_s, "cpu_us": cpu_us})
            last_live, last_cpu, last_time = counts.live, cpu, now
        return all_connected or bool(condition.check(counts))

    def on_progress(counts: ClientCounts) -> None:
        free_gb = machine.available_bytes() / 1e9
        report_progress(f"  {counts.live} of {users}, {free_gb:.1f} GB free, refused {dict(counts.refused)}")

    pool.wait(finished, users / rate * 20 + 600, on_progress)
    pool.halt()
    return rows


def _idle_cpu_percent(cluster: BenchCluster) -> dict[str, float]:
    """CPU by kind of process while all clients idle, in percent of a core."""
    before, started_at = cluster.cpu_seconds(), time.monotonic()
    time.sleep(SETTLE_TIME)
    after, seconds = cluster.cpu_seconds(), time.monotonic() - started_at
    return {kind: round((after[kind] - before[kind]) / seconds * 100, 1) for kind in after}
