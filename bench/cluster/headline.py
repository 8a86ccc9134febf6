"""The article's headline, 500,000 users on one machine: as many idle registered sessions as this one holds.

Clients, gateways, router, etcd and Redis share it. It stops where memory, or the connects, do.
"""

import math
import time
from collections.abc import Callable
from typing import Any

from bench.cluster import machine
from bench.cluster.load.crowds import Counts, Crowds, crowd_of
from bench.cluster.rig import Cluster

A_GATEWAY = 18_000  # sessions of one process: below the usual 20,000 files
LEAST_FREE = 1_500_000_000  # bytes of memory: less, and it stops
STUCK = 20.0  # seconds without one more client, and it stops
MOST_REFUSED = 0.02  # of the clients: more, and it stops
STEP = 50_000  # clients between two rows of the table
SETTLE = 10.0  # seconds of idling at the end
HOLDERS = ("gateways", "routers", "etcd", "redis", "crowd")
Say = Callable[[str], None]


def gateways_for(users: int, a_gateway: int = A_GATEWAY) -> int:
    """How many gateway processes so many sessions need."""
    return math.ceil(users / a_gateway)


def settings(heartbeat: float) -> str:
    """The gateways' configuration of this run: how often an idle client is pinged, seconds."""
    timeout = min(heartbeat, max(20.0, heartbeat / 2))
    return f"[gateway.heartbeat]\ninterval = {heartbeat:.1f}\ntimeout = {timeout:.1f}\n"


def headline(cluster: Cluster, users: int, rate: float, say: Say, least_free: int = LEAST_FREE) -> dict[str, Any]:
    """Open as many of `users` as there is room for, `rate` a second, and tell what each part holds of a session."""
    with crowd_of(cluster, users) as crowd:
        machine_before = Held(cluster)
        guard = BatchGuard(least_free)
        before, began = cluster.used(), time.monotonic()
        steps = _open(cluster, crowd, users, rate, guard, say)
        took, after = time.monotonic() - began, cluster.used()
        reached = crowd.counts().live
        say(f"  {reached} are there; idling {SETTLE:.0f} s ...")
        idle = _idle(cluster)
        held, counts = Held(cluster), crowd.counts()
        return {
            "asked": users,
            "reached": counts.live,
            "stopped_by": guard.why or "nothing: all are there",
            "offered_per_s": rate,
            "connects_per_s": round(reached / took),
            "seconds": round(took, 1),
            "cpu_us_a_connect": {
                kind: round((after[kind] - before[kind]) / max(1, reached) * 1e6, 1) for kind in after
            },
            "kb_a_session": held.a_session(machine_before, max(1, counts.live)),
            "gb": held.gb(),
            "free_gb": round(machine.available() / 1e9, 2),
            "idle_cpu_percent": idle,
            "refused": dict(counts.refused),
            "closes": dict(counts.closes),
            "steps": steps,
            "complaints": cluster.complaints(),
        }


class Held:
    """What each part holds at this moment."""

    def __init__(self, cluster: Cluster) -> None:
        self._bytes = {kind: cluster.rss(kind) for kind in HOLDERS} | {"kernel": machine.kernel()}

    def a_session(self, before: "Held", sessions: int) -> dict[str, float]:
        """KB a session more than before, by part; the kernel has both ends of each connection."""
        grown = {kind: self._bytes[kind] - before._bytes[kind] for kind in self._bytes}
        return {kind: round(more / sessions / 1024, 2) for kind, more in grown.items()}

    def gb(self) -> dict[str, float]:
        """GB by part."""
        return {kind: round(held / 1e9, 2) for kind, held in self._bytes.items()}


class BatchGuard:
    """Says when to stop, and why."""

    def __init__(self, least_free: int) -> None:
        self._least_free = least_free
        self._most = 0
        self._moved = time.monotonic()
        self.why = ""

    def judge(self, counts: Counts) -> str:
        """ "" to go on."""
        now, free = time.monotonic(), machine.available()
        if counts.live > self._most:
            self._most, self._moved = counts.live, now
        refused, lost = sum(counts.refused.values()), counts.lost
        if free < self._least_free:
            self.why = f"memory: {free / 1e9:.1f} GB is left"
        elif refused > 100 and refused > counts.connected * MOST_REFUSED:
            self.why = f"connects fail: {dict(counts.refused)}"
        elif lost > 100 and lost > counts.connected * MOST_REFUSED:
            self.why = f"connections are lost: {dict(counts.closes)}"
        elif now - self._moved > STUCK:
            self.why = f"nobody more came within {STUCK:.0f} s"
        return self.why


def _open(
    cluster: Cluster, crowd: Crowds, users: int, rate: float, guard: BatchGuard, say: Say
) -> list[dict[str, Any]]:
    """Open them; a row each 50,000: how fast, and at what cost, the last of them came."""
    steps: list[dict[str, Any]] = []
    last, used, at = 0, cluster.used(), time.monotonic()
    crowd.open(users, rate)

    def look(counts: Counts) -> bool:
        nonlocal last, used, at
        done = counts.live >= users
        if counts.live - last >= STEP or (done and counts.live > last):
            now, new = time.monotonic(), cluster.used()
            number = counts.live - last
            cpu_us = {kind: round((new[kind] - used[kind]) / number * 1e6) for kind in new}
            steps.append({"live": counts.live, "connects_per_s": round(number / (now - at)), "cpu_us": cpu_us})
            last, used, at = counts.live, new, now
        return done or bool(guard.judge(counts))

    def tell(counts: Counts) -> None:
        say(f"  {counts.live} of {users}, {machine.available() / 1e9:.1f} GB free, refused {dict(counts.refused)}")

    crowd.wait(look, users / rate * 20 + 600, tell)
    crowd.halt()
    return steps


def _idle(cluster: Cluster) -> dict[str, float]:
    before, began = cluster.used(), time.monotonic()
    time.sleep(SETTLE)
    after, took = cluster.used(), time.monotonic() - began
    return {kind: round((after[kind] - before[kind]) / took * 100, 1) for kind in after}
