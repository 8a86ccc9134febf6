"""The article's four scenarios, scaled to the cores that the gateways get: 31,250 users a core.

The article: 500,000 users on 16 cores and 32 GB. Idle; a push every 5 s to each, without acks; the same with acks;
that, and 1,250 users a core who come and as many who go in a second. Its client ran elsewhere; ours runs on this
machine, on the other cores, with routers, etcd and Redis. Open loop: what is not done stands in the table.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bench.cluster import machine
from bench.cluster.load import histogram
from bench.cluster.load.crowds import Counts, Crowds, crowd_of
from bench.cluster.load.outcomes import compare
from bench.cluster.load.pushers import Pusher, kept_up, pusher
from bench.cluster.rig import Cluster
from homing.cluster.trouble import CommandError

USERS_A_CORE = 31_250
A_GATEWAY = 17_000  # users of one process: below the usual 20,000 files, with room for those who come
PUSH_EVERY = 5.0  # seconds, to each user
CHURN_A_CORE = 1_250.0  # users a second and core who come, and as many who go
ACK_MS = 5_000
LOOK = 2.0  # seconds between two looks while a scenario runs
PAUSE = 1.0  # seconds before a scenario begins, and after it, for what is still under way
LEAST_DONE = 0.98  # of what was offered; less is told
LEFT = "1000"  # the close code of those who go
FINE = ("ACKED", "WRITTEN", "OFFLINE")  # the last of those who have just gone
Row = dict[str, Any]
Say = Callable[[str], None]


class Scenario(NamedTuple):
    """One of the four, and what the article says of it."""

    name: str
    pushes: bool
    acks: bool
    churn: bool
    article: Row


SCENARIOS = (
    Scenario("online", False, False, False, {"kb_a_user": 47, "cpu_percent": 22, "connects_per_s": 16_000}),
    Scenario("pushes", True, False, False, {"cpu_percent": 30, "memory_percent": 93}),
    Scenario("pushes with acks", True, True, False, {"ended": "out of memory, 5 min"}),
    Scenario(
        "acks, come and go",
        *(True, True, True),
        {"cpu_percent": 47, "pushes_per_s": 393_000, "acks_per_s": 329_000, "connects_per_s": 18_500},
    ),
)
ARTICLE_CORES = 16


class Size(NamedTuple):
    """What is run."""

    cores: int
    users: int
    seconds: float
    connect_rate: float

    @property
    def gateways(self) -> int:
        """Processes, several on a core when one may not have so many files."""
        return math.ceil(self.users / A_GATEWAY)

    @property
    def push_rate(self) -> float:
        """A second."""
        return self.users / PUSH_EVERY

    @property
    def churn(self) -> float:
        """A second, scaled like the users."""
        return CHURN_A_CORE * self.users / USERS_A_CORE


@contextlib.contextmanager
def rest_on(cores: int) -> Iterator[tuple[list[int], list[int]]]:
    """Keep ourselves, and what we start from now on, off the first cores: (those, the rest). Trouble: too few."""
    have = machine.cores()
    if cores >= len(have):
        raise CommandError(
            f"--cores {cores} leaves none of {len(have)} for the clients, routers and servers; "
            f"at most --cores {len(have) - 1} here"
        )
    pinned, rest = have[:cores], have[cores:]
    os.sched_setaffinity(0, rest)
    try:
        yield pinned, rest
    finally:
        os.sched_setaffinity(0, have)


def article(cluster: Cluster, size: Size, pinned: list[int], say: Say) -> Row:
    """All four, one after the other, with the same users and gateways."""
    machine.pin(cluster.pids["gateways"], pinned)
    spare = math.ceil(size.churn)  # users who wait for their turn to come
    base, kernel = cluster.rss(), machine.kernel()
    with crowd_of(cluster, size.users + spare) as crowd, pusher(cluster) as pushing:
        say(f"  {size.users} users connect, {size.connect_rate:.0f} a second ...")
        before = cluster.used()
        opened = crowd.open_all(
            size.users, size.connect_rate, say=lambda told: say(f"  {told.live} of {size.users} are there")
        )
        used = cluster.used()
        run = Run(cluster, crowd, pushing, size, pinned, base, say)
        setup = {
            **opened,
            "cpu_us_a_connect": {kind: round((used[kind] - before[kind]) / size.users * 1e6, 1) for kind in used},
            "kernel_kb_a_user": round((machine.kernel() - kernel) / size.users / 1024, 1),
        }
        rows = [run.scenario(one, kind) for kind, one in enumerate(SCENARIOS)]
    return {
        "cores": size.cores,
        "users": size.users,
        "gateways": size.gateways,
        "seconds": size.seconds,
        "setup": setup,
        "rows": rows,
        "complaints": cluster.complaints(),
        "valid": all(row["valid"] for row in rows),
    }


class Run:
    """The scenarios of one crowd on one cluster."""

    def __init__(
        self, cluster: Cluster, crowd: Crowds, pushing: Pusher, size: Size, pinned: list[int], base: int, say: Say
    ) -> None:
        self._cluster, self._crowd, self._pushing, self._size = cluster, crowd, pushing, size
        self._pinned, self._base, self._say = pinned, base, say

    def scenario(self, scenario: Scenario, kind: int) -> Row:
        """One row of the table."""
        size, cluster, crowd = self._size, self._cluster, self._crowd
        self._say(f"{scenario.name}: {size.seconds:.0f} s ...")
        time.sleep(PAUSE)
        spare = math.ceil(size.churn) if scenario.churn else 0
        crowd.forget_latencies()
        counts, rss = crowd.counts(), cluster.rss()
        before, core, began = cluster.used(), machine.busy(self._pinned), time.monotonic()
        if scenario.churn:
            crowd.churn(size.churn, spare, first=size.users)
        if scenario.pushes:
            self._begin(scenario, kind, size.users + spare)
        self._watch(scenario)
        took = time.monotonic() - began
        after, core_after, at_end = cluster.used(), machine.busy(self._pinned), crowd.counts()
        rss_end = cluster.rss()
        if scenario.churn:
            crowd.churn(0.0)
        row = {
            "scenario": scenario.name,
            "online": at_end.live,
            "kb_a_user": round((rss_end - self._base) / max(1, at_end.live) / 1024, 2),
            "rss_start_mb": round(rss / 1e6, 1),
            "rss_end_mb": round(rss_end / 1e6, 1),
            "core_percent": machine.busy_share(core, core_after),
            "cpu_percent": {name: round((after[name] - before[name]) / took * 100, 1) for name in after},
            "connects_per_s": round((at_end.connected - counts.connected) / took),
            "disconnects_per_s": round((at_end.closes[LEFT] - counts.closes[LEFT]) / took),
            "refused": sum(at_end.refused.values()) - sum(counts.refused.values()),
            "lost_connections": at_end.lost - counts.lost,
        }
        row |= self._pushed(scenario, kind, counts, at_end, took) if scenario.pushes else {}
        row["missed"] = _missed(row, size, scenario)
        row["valid"] = not row["missed"]
        return row | {"article": scenario.article}

    def _begin(self, scenario: Scenario, kind: int, count: int) -> None:
        self._pushing.begin(
            target="user",
            names="user-%d",
            count=count,
            rate=self._size.push_rate,
            seconds=self._size.seconds,
            kind=kind,
            ack_ms=ACK_MS if scenario.acks else 0,
        )

    def _watch(self, scenario: Scenario) -> None:
        end = time.monotonic() + self._size.seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOK, left))
            counts = self._crowd.counts()
            told = self._pushing.look() if scenario.pushes else {}
            pushed = f"{told['sent']} pushed, {told['reported']} reported, {counts.acks} acks in all, " if told else ""
            self._say(f"  {counts.live} online, {pushed}gateways {self._cluster.rss() / 1e6:.0f} MB")

    def _pushed(self, scenario: Scenario, kind: int, before: Counts, at_end: Counts, took: float) -> Row:
        """What became of the pushes; the last reports and messages are waited for first."""
        at_once = self._pushing.look()
        told = self._pushing.wait(ACK_MS / 1000 if scenario.acks else 1.0)
        time.sleep(PAUSE)
        counts = self._crowd.counts()
        offered, done = self._size.push_rate, at_once["reported"] - sum(at_once["errors"].values())
        return {
            "offered_per_s": round(offered),
            "pushes_per_s": round(done / took),
            "received_per_s": round((at_end.pushes - before.pushes) / took),
            "acks_per_s": round((at_end.acks - before.acks) / took),
            "outcomes": told["outcomes"],
            "push_errors": told["errors"],
            **compare(self._pushing.codes(), self._crowd.received(kind)),
            **histogram.quantiles(counts.latencies[kind]),
            "kept_up": kept_up(told),
            "late": told["late"],
            "done_share": round(done / (offered * took), 4),
        }


def _missed(row: Row, size: Size, scenario: Scenario) -> list[str]:
    """What was offered and not done, in words."""
    missed = []
    if scenario.pushes and row["done_share"] < LEAST_DONE:
        missed.append(f"{row['pushes_per_s']} of {row['offered_per_s']} pushes/s were done in time")
    if scenario.pushes and not row["kept_up"]:
        missed.append(f"the pusher fell behind: {row['late']} pushes left late")
    if scenario.churn and row["connects_per_s"] < size.churn * LEAST_DONE:
        missed.append(f"{row['connects_per_s']} of {size.churn:.0f} connects/s were done")
    if scenario.churn and row["disconnects_per_s"] < size.churn * LEAST_DONE:
        missed.append(f"{row['disconnects_per_s']} of {size.churn:.0f} disconnects/s were done")
    missed += [f"{row[name]} pushes {name}" for name in ("lost", "vanished", "twice") if row.get(name)]
    unsure = {name: number for name, number in row.get("outcomes", {}).items() if name not in FINE}
    if unsure:
        missed.append(f"pushes ended otherwise: {unsure}")
    if row.get("push_errors"):
        missed.append(f"refused pushes: {row['push_errors']}")
    if row["refused"] or row["lost_connections"]:
        missed.append(f"{row['refused']} connects refused, {row['lost_connections']} connections lost")
    return missed


def table(told: Row) -> str:
    """The figures beside the article's own, which are a sixteenth: its 16 cores, a core."""
    head = (
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
    lines: list[tuple[str, ...]] = [(*head, "p50 ms", "p99 ms", "MB start", "MB end")]
    for row in told["rows"]:
        lines += [_line(row), _article_line(row["article"])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    setup = told["setup"]
    costs = ", ".join(f"{kind} {us}" for kind, us in setup["cpu_us_a_connect"].items() if us)
    first = (
        f"{told['users']} users, {told['gateways']} gateways on {told['cores']} core(s), {told['seconds']:.0f} s each; "
        f"{setup['connects_per_s']} connects/s at first, CPU us a connect: {costs}; "
        f"kernel {setup['kernel_kb_a_user']} KB a user (both ends)"
    )
    notes = [f"{row['scenario']}: {what}" for row in told["rows"] for what in row["missed"]]
    logs = [f"LOGGED {number} x  {line}" for line, number in told["complaints"].items()]
    return "\n".join([first, *text, *(f"NOT HELD  {note}" for note in notes), *logs])


def _line(row: Row) -> tuple[str, ...]:
    names = ("online", "kb_a_user", "core_percent", "gateways", "pushes_per_s", "acks_per_s", "connects_per_s", "lost")
    cells = row | {"gateways": row["cpu_percent"]["gateways"]}
    rest = ("refused", "p50_ms", "p99_ms", "rss_start_mb", "rss_end_mb")
    return (row["scenario"], *(str(cells.get(name, "-")) for name in (*names, *rest)))


def _article_line(article: Row) -> tuple[str, ...]:
    def a_core(name: str) -> str:
        return str(round(article[name] / ARTICLE_CORES)) if name in article else "-"

    cpu = str(article.get("cpu_percent", "-"))
    cells = (str(USERS_A_CORE), str(article.get("kb_a_user", "-")), cpu, "-")
    rates = (a_core("pushes_per_s"), a_core("acks_per_s"), a_core("connects_per_s"))
    end = article.get("ended", "") or (f"{article['memory_percent']} % of RAM" if "memory_percent" in article else "-")
    return ("  the article, a core", *cells, *rates, "-", "-", "-", "-", "-", end)
