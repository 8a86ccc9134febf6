"""All clients come back at once: what it takes until everybody is there again, and what it costs."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from bench.cluster.load import histogram
from bench.cluster.load.crowds import Counts, Crowds, crowd_of
from bench.cluster.load.outcomes import compare
from bench.cluster.load.pushers import pusher
from bench.cluster.rig import Cluster, per

SETTLE = 3.0  # seconds, before memory is looked at
ASK_RATE = 2000.0  # pushes a second, to see that everybody can be reached again
MISSED = "4408"  # the close code of a client that answers no ping
Say = Callable[[str], None]


def storm(cluster: Cluster, users: int, connect_rate: float, rate: float, kill: bool, say: Say) -> dict[str, Any]:
    """`users` connect, `connect_rate` a second, then lose their connections and come back, `rate` a second in all.

    With `kill` a gateway is killed, and its users come back to the others; else all sockets are closed at once. Then
    each user gets one push, which says whether routes are right again.
    """
    with crowd_of(cluster, users) as crowd:
        crowd.open_all(users, connect_rate, say=lambda told: say(f"  {told.live} of {users} are there"))
        time.sleep(SETTLE)
        doomed = cluster.pids["gateways"].pop(0) if kill else 0  # so that neither look counts it
        steady, before = cluster.rss(), cluster.used()
        crowd.forget_latencies()
        counts = crowd.counts()
        gone = _kill(doomed, cluster, crowd, rate) if kill else _drop_all(crowd, users, rate)
        watch = Watch(cluster, crowd, users, counts.connected, say)
        back = watch.run(gone, limit=gone / rate * 5 + 60)
        after, counts = cluster.used(), crowd.counts()
        time.sleep(SETTLE)
        return {
            "came_back": back,
            "seconds": round(watch.took, 1),
            "offered_per_s": rate,
            "connects_per_s": round(back / watch.took),
            "cpu_us": per(before, after, max(1, back)),
            "rss_steady_mb": round(steady / 1e6, 1),
            "rss_peak_mb": round(watch.peak / 1e6, 1),
            "peak_to_steady": round(watch.peak / steady, 2),
            "rss_after_mb": round(cluster.rss() / 1e6, 1),
            "refused": dict(counts.refused),
            "pings_missed": counts.closes[MISSED],
            "closes": dict(counts.closes),
            **{f"connect_{name}": value for name, value in histogram.quantiles(counts.connects).items()},
            **_ask_all(cluster, crowd, users),
            "complaints": cluster.complaints(),
            "valid": back == gone and crowd.counts().live == users,
        }


def _drop_all(crowd: Crowds, users: int, rate: float) -> int:
    crowd.drop(True, rate)
    return users


def _kill(pid: int, cluster: Cluster, crowd: Crowds, rate: float) -> int:
    """The first gateway; the answer is how many it had."""
    number = len(cluster.urls)
    gone = (crowd.counts().live + number - 1) // number  # user n has dialled urls[n % number]
    crowd.redirect(cluster.urls[1:], back=True, rate=rate)
    os.kill(pid, signal.SIGKILL)
    return gone


class Watch:
    """Looks until all are back: how long it took, and the most memory that the gateways held meanwhile."""

    def __init__(self, cluster: Cluster, crowd: Crowds, users: int, connected: int, say: Say) -> None:
        self._cluster, self._crowd, self._users, self._connected, self._say = cluster, crowd, users, connected, say
        self.peak = 0
        self.took = 0.0

    def run(self, gone: int, limit: float) -> int:
        """How many came back within `limit` seconds."""
        began = time.monotonic()

        def all_back(told: Counts) -> bool:
            self.peak = max(self.peak, self._cluster.rss())
            return told.connected - self._connected >= gone and told.live >= self._users

        def tell(told: Counts) -> None:
            refused = f", refused so far {sum(told.refused.values())}" if told.refused else ""
            self._say(f"  {told.connected - self._connected} of {gone} are back{refused}")

        self._crowd.wait(all_back, limit, tell)
        self.took = time.monotonic() - began
        return self._crowd.counts().connected - self._connected


def _ask_all(cluster: Cluster, crowd: Crowds, users: int) -> dict[str, Any]:
    """One push to each."""
    with pusher(cluster) as pushing:
        seconds = users / ASK_RATE
        pushing.begin(target="user", names="user-%d", count=users, rate=ASK_RATE, seconds=seconds)
        told = pushing.wait(seconds)
        crowd.wait(lambda counts: counts.pushes >= told["sent"], 2.0)
        judged = compare(pushing.codes(), crowd.received(0))
    return {"reached_after": told["outcomes"], **judged}
