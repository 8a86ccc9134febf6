"""The article's four scenarios, scaled to the cores of the gateways: 31,250 users per core.

The article: 500,000 users on 16 cores and 32 GB. Idle; a push every 5 s to each user, without acks; the same with acks;
that, and 1,250 users per core who connect and as many who disconnect each second. The article's client ran on another
machine; here clients, routers, etcd and Redis run on the same machine, on the other cores. Open loop: a rate that was
not reached is in the table.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench.cluster import machine
from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.load import histogram
from bench.cluster.load.client_pool import ClientCounts, ClientPool, cluster_clients
from bench.cluster.load.outcomes import MEANINGS, legend, reconcile
from bench.cluster.load.push_generator import PushGenerator, kept_pace, push_generator
from bench.cluster.load.worker_process import Json
from bench.cluster.scenario import Figures, ReportProgress
from homing.cluster.errors import CommandError

USERS_PER_CORE = 31_250
USERS_PER_GATEWAY = 17_000  # below the usual limit of 20,000 files, with room for churn
PUSH_INTERVAL = 5.0  # seconds between two pushes to a user
CHURN_PER_CORE = 1_250.0  # users per second and core who connect, and as many who disconnect
ACK_MS = 5_000
PROGRESS_INTERVAL = 2.0  # seconds
SETTLE_TIME = 1.0  # seconds before a scenario starts, and after it, for messages in flight
MIN_DONE_SHARE = 0.98  # of the offered rate; a lower share is a shortfall
NORMAL_CLOSURE = "1000"  # the close code of clients that disconnect by themselves
EXPECTED_OUTCOMES = ("ACKED", "WRITTEN", "OFFLINE")  # OFFLINE: the user has just disconnected


class ArticleScenario(NamedTuple):
    """One of the four scenarios, and the article's figures of it."""

    name: str
    pushes: bool
    acks: bool
    churn: bool
    article: Figures


SCENARIOS = (
    ArticleScenario("online", False, False, False, {"kb_per_user": 47, "cpu_percent": 22, "connects_per_s": 16_000}),
    ArticleScenario("pushes", True, False, False, {"cpu_percent": 30, "memory_percent": 93}),
    ArticleScenario("pushes with acks", True, True, False, {"ended": "out of memory, 5 min"}),
    ArticleScenario(
        "acks and churn",
        *(True, True, True),
        {"cpu_percent": 47, "pushes_per_s": 393_000, "acks_per_s": 329_000, "connects_per_s": 18_500},
    ),
)
ARTICLE_CORES = 16


class ArticleSize(NamedTuple):
    """The size of a run. `cores`: those of the gateways; `seconds`: of each scenario."""

    cores: int
    users: int
    seconds: float
    connect_rate: float

    @property
    def gateways(self) -> int:
        """Processes; several per core, as one process may not have enough files."""
        return math.ceil(self.users / USERS_PER_GATEWAY)

    @property
    def push_rate(self) -> float:
        """Pushes per second."""
        return self.users / PUSH_INTERVAL

    @property
    def churn_rate(self) -> float:
        """Connects per second, and as many disconnects, scaled like the users."""
        return CHURN_PER_CORE * self.users / USERS_PER_CORE


@contextlib.contextmanager
def reserve_gateway_cores(cores: int) -> Iterator[tuple[list[int], list[int]]]:
    """Keep this process and its later children off the first cores. (gateway cores, other cores).

    CommandError: no core would be left.
    """
    usable = machine.usable_cores()
    if cores >= len(usable):
        raise CommandError(
            f"--cores {cores} leaves none of {len(usable)} for the clients, routers and servers; "
            f"at most --cores {len(usable) - 1} here"
        )
    gateway_cores, other_cores = usable[:cores], usable[cores:]
    os.sched_setaffinity(0, other_cores)
    try:
        yield gateway_cores, other_cores
    finally:
        os.sched_setaffinity(0, usable)


def article(
    cluster: BenchCluster, size: ArticleSize, gateway_cores: list[int], report_progress: ReportProgress
) -> Figures:
    """All four scenarios in turn, with the same users and gateways."""
    machine.pin(cluster.pids["gateways"], gateway_cores)
    spare = math.ceil(size.churn_rate)  # users that are offline until the churn begins
    empty_rss, kernel = cluster.rss_bytes(), machine.kernel_bytes()
    with cluster_clients(cluster, size.users + spare) as pool, push_generator(cluster) as pusher:
        report_progress(f"  {size.users} users connect, {size.connect_rate:.0f} a second ...")
        before = cluster.cpu_seconds()
        opened = pool.open_all(
            size.users,
            size.connect_rate,
            on_progress=lambda counts: report_progress(f"  {counts.live} of {size.users} connected"),
        )
        used = cluster.cpu_seconds()
        run = ArticleRun(cluster, pool, pusher, size, gateway_cores, empty_rss, report_progress)
        setup = {
            **opened,
            "cpu_us_per_connect": {kind: round((used[kind] - before[kind]) / size.users * 1e6, 1) for kind in used},
            "kernel_kb_per_user": round((machine.kernel_bytes() - kernel) / size.users / 1024, 1),
        }
        rows = [run.measure(scenario, kind) for kind, scenario in enumerate(SCENARIOS)]
    return {
        "cores": size.cores,
        "users": size.users,
        "gateways": size.gateways,
        "seconds": size.seconds,
        "setup": setup,
        "rows": rows,
        "log_warnings": cluster.log_warnings(),
        "valid": all(row["valid"] for row in rows),
    }


class ArticleRun:
    """Runs the scenarios with one client pool on one cluster."""

    def __init__(
        self,
        cluster: BenchCluster,
        pool: ClientPool,
        pusher: PushGenerator,
        size: ArticleSize,
        gateway_cores: list[int],
        empty_rss: int,
        report_progress: ReportProgress,
    ) -> None:
        self._cluster, self._pool, self._pusher, self._size = cluster, pool, pusher, size
        self._gateway_cores, self._empty_rss, self._report_progress = gateway_cores, empty_rss, report_progress

    def measure(self, scenario: ArticleScenario, kind: int) -> Figures:
        """One row of the table."""
        size, cluster, pool = self._size, self._cluster, self._pool
        self._report_progress(f"{scenario.name}: {size.seconds:.0f} s ...")
        time.sleep(SETTLE_TIME)
        spare = math.ceil(size.churn_rate) if scenario.churn else 0
        pool.reset_latencies()
        before, rss_start = pool.counts(), cluster.rss_bytes()
        cpu, ticks, started_at = cluster.cpu_seconds(), machine.core_ticks(self._gateway_cores), time.monotonic()
        if scenario.churn:
            pool.churn(size.churn_rate, spare, first=size.users)
        if scenario.pushes:
            self._start_pushes(scenario, kind, size.users + spare)
        self._wait_scenario(scenario)
        seconds = time.monotonic() - started_at
        cpu_end, ticks_end, after = cluster.cpu_seconds(), machine.core_ticks(self._gateway_cores), pool.counts()
        rss_end = cluster.rss_bytes()
        if scenario.churn:
            pool.churn(0.0)
        row = {
            "scenario": scenario.name,
            "online": after.live,
            "kb_per_user": round((rss_end - self._empty_rss) / max(1, after.live) / 1024, 2),
            "rss_start_mb": round(rss_start / 1e6, 1),
            "rss_end_mb": round(rss_end / 1e6, 1),
            "core_percent": machine.busy_percent(ticks, ticks_end),
            "cpu_percent": {name: round((cpu_end[name] - cpu[name]) / seconds * 100, 1) for name in cpu_end},
            "connects_per_s": round((after.connected - before.connected) / seconds),
            "disconnects_per_s": round((after.closes[NORMAL_CLOSURE] - before.closes[NORMAL_CLOSURE]) / seconds),
            "refused": sum(after.refused.values()) - sum(before.refused.values()),
            "lost_connections": after.lost - before.lost,
        }
        row |= self._push_figures(scenario, kind, before, after, seconds) if scenario.pushes else {}
        row["shortfalls"] = _shortfalls(row, size, scenario)
        row["valid"] = not row["shortfalls"]
        return row | {"article": scenario.article}

    def _start_pushes(self, scenario: ArticleScenario, kind: int, count: int) -> None:
        self._pusher.start(
            target="user",
            names="user-%d",
            count=count,
            rate=self._size.push_rate,
            seconds=self._size.seconds,
            kind=kind,
            ack_ms=ACK_MS if scenario.acks else 0,
        )

    def _wait_scenario(self, scenario: ArticleScenario) -> None:
        deadline = time.monotonic() + self._size.seconds
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(PROGRESS_INTERVAL, left))
            counts = self._pool.counts()
            pushed = _progress(self._pusher.read_counts(), counts) if scenario.pushes else ""
            memory = f"gateways {self._cluster.rss_bytes() / 1e6:.0f} MB"
            self._report_progress(f"  {counts.live} online, {pushed}{memory}")

    def _push_figures(
        self, scenario: ArticleScenario, kind: int, before: ClientCounts, after: ClientCounts, seconds: float
    ) -> Figures:
        """The figures of the pushes, after a wait for the last reports and messages."""
        at_end = self._pusher.read_counts()
        pushed = self._pusher.wait(ACK_MS / 1000 if scenario.acks else 1.0)
        time.sleep(SETTLE_TIME)
        counts = self._pool.counts()
        offered, done = self._size.push_rate, at_end["reported"] - sum(at_end["errors"].values())
        return {
            "offered_per_s": round(offered),
            "pushes_per_s": round(done / seconds),
            "received_per_s": round((after.pushes - before.pushes) / seconds),
            "acks_per_s": round((after.acks - before.acks) / seconds),
            "outcomes": pushed["outcomes"],
            "push_errors": pushed["errors"],
            **reconcile(self._pusher.outcome_codes(), self._pool.received(kind)),
            **histogram.quantiles(counts.latencies[kind]),
            "kept_pace": kept_pace(pushed),
            "late": pushed["late"],
            "done_share": round(done / (offered * seconds), 4),
        }


def _progress(pushed: Json, counts: ClientCounts) -> str:
    return f"{pushed['sent']} pushed, {pushed['reported']} reported, {counts.acks} acks in all, "


def _shortfalls(row: Figures, size: ArticleSize, scenario: ArticleScenario) -> list[str]:
    """What was offered and not done, in words."""
    shortfalls = []
    if scenario.pushes and row["done_share"] < MIN_DONE_SHARE:
        shortfalls.append(f"{row['pushes_per_s']} of {row['offered_per_s']} pushes/s were done in time")
    if scenario.pushes and not row["kept_pace"]:
        shortfalls.append(f"the push generator fell behind: {row['late']} pushes were sent late")
    if scenario.churn and row["connects_per_s"] < size.churn_rate * MIN_DONE_SHARE:
        shortfalls.append(f"{row['connects_per_s']} of {size.churn_rate:.0f} connects/s were done")
    if scenario.churn and row["disconnects_per_s"] < size.churn_rate * MIN_DONE_SHARE:
        shortfalls.append(f"{row['disconnects_per_s']} of {size.churn_rate:.0f} disconnects/s were done")
    shortfalls += [f"{row[name]} pushes {name}" for name in ("lost", "undelivered", "duplicated") if row.get(name)]
    unexpected = {name: count for name, count in row.get("outcomes", {}).items() if name not in EXPECTED_OUTCOMES}
    if unexpected:
        shortfalls.append(f"pushes with other outcomes: {unexpected}")
    if row.get("push_errors"):
        shortfalls.append(f"refused pushes: {row['push_errors']}")
    if row["refused"] or row["lost_connections"]:
        shortfalls.append(f"{row['refused']} connects refused, {row['lost_connections']} connections lost")
    return shortfalls


def table(result: Figures) -> str:
    """The result as a table, with the article's figures, divided by its 16 cores, below each row."""
    header = (
        "scenario",
        "users",
        "KB/user",
        "core %",
        "gateways %",
        "pushes/s",
        "acks/s",
        "connects/s",
        "lost",
        "refused",
    )
    lines: list[tuple[str, ...]] = [(*header, "p50 ms", "p99 ms", "MB start", "MB end")]
    for row in result["rows"]:
        lines += [_cells(row), _article_cells(row["article"])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    shortfalls = [f"NOT MET  {row['scenario']}: {what}" for row in result["rows"] for what in row["shortfalls"]]
    warnings = [f"LOGGED {count} x  {line}" for line, count in result["log_warnings"].items()]
    return "\n".join([_summary(result), *text, *shortfalls, *warnings, *legend(MEANINGS)])


def _summary(result: Figures) -> str:
    setup = result["setup"]
    costs = ", ".join(f"{kind} {us}" for kind, us in setup["cpu_us_per_connect"].items() if us)
    return (
        f"{result['users']} users, {result['gateways']} gateways on {result['cores']} core(s), "
        f"{result['seconds']:.0f} s each; {setup['connects_per_s']} connects/s at first, CPU us per connect: {costs}; "
        f"kernel {setup['kernel_kb_per_user']} KB per user (both ends)"
    )


def _cells(row: Figures) -> tuple[str, ...]:
    values = row | {"gateways": row["cpu_percent"]["gateways"]}
    names = (
        *("online", "kb_per_user", "core_percent", "gateways", "pushes_per_s", "acks_per_s", "connects_per_s"),
        *("lost", "refused", "p50_ms", "p99_ms", "rss_start_mb", "rss_end_mb"),
    )
    return (row["scenario"], *(str(values.get(name, "-")) for name in names))


def _article_cells(figures: Figures) -> tuple[str, ...]:
    def per_core(name: str) -> str:
        return str(round(figures[name] / ARTICLE_CORES)) if name in figures else "-"

    cpu = str(figures.get("cpu_percent", "-"))
    cells = (str(USERS_PER_CORE), str(figures.get("kb_per_user", "-")), cpu, "-")
    rates = (per_core("pushes_per_s"), per_core("acks_per_s"), per_core("connects_per_s"))
    memory = f"{figures['memory_percent']} % of RAM" if "memory_percent" in figures else "-"
    return ("  the article, a core", *cells, *rates, "-", "-", "-", "-", "-", figures.get("ended", "") or memory)
