"""One run of the simulation: a random walk, then peace, then the verdict."""

import bisect
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.simulation.actions import Actions
from tests.simulation.cluster import ROUTERS, Cluster
from tests.simulation.history import History
from tests.simulation.invariants import Violation, check
from tests.simulation.walk import Walk

HEAL = 30.0  # seconds from the end of the faults until everything must agree
PROBE_PAUSE = 0.001  # seconds between the last pushes, which must fit into the queues
PROBE = 2.0  # seconds for the last pushes


class Result(NamedTuple):
    """One run of one seed. Seconds are virtual."""

    seed: int
    requested: int  # steps
    steps: int  # that were taken: an action may be several
    violations: list[Violation]
    step: int  # that of the first violation; 0: none
    tail: list[str]  # the records before the first violation
    callbacks: int
    seconds: float
    pushes: int
    receipts: int
    faults: int
    digest: int


def run(
    seed: int,
    steps: int,
    replaced: dict[str, Any] | None = None,
    fault_kinds: Sequence[str] = (),
) -> Result:
    """One seed: so many steps, then peace. `replaced` is `Cluster`'s, `fault_kinds` is `Walk`'s."""
    with Cluster(seed, replaced) as cluster:
        walk = Walk(cluster, cluster.rng, fault_kinds)
        walk.populate()
        while len(walk.times) < steps:
            walk.step()
        finish(walk.actions)
        return judge(cluster, seed, walk.times)._replace(requested=steps)


def finish(actions: Actions, seconds: float = HEAL) -> None:
    """End all faults, wait, record what everybody holds, and push to each session once more."""
    cluster = actions.cluster
    actions.heal()
    cluster.run(seconds)
    cluster.record_states()
    for client in cluster.open_clients():
        for router in ROUTERS:
            cluster.history.probes.add(actions.push(router, "last", ("session", str(client.session))))
        cluster.run(PROBE_PAUSE)
    cluster.run(PROBE)


def judge(cluster: Cluster, seed: int, times: list[float]) -> Result:
    """The result of what has run on the cluster. `times`: when its steps began."""
    history, now = cluster.history, cluster.now
    found = check(history) + [Violation("error", text, now) for text in cluster.scheduler.errors]
    first = min((violation.t for violation in found), default=0.0)
    return Result(
        seed=seed,
        requested=len(times),
        steps=len(times),
        violations=found,
        step=bisect.bisect(times, first),
        tail=list(history.tail(min(first, now))) if found else [],
        callbacks=cluster.scheduler.callbacks,
        seconds=now,
        pushes=len(history.sent),
        receipts=len(history.receipts),
        faults=sum(fault.phase == "begin" for fault in history.faults),
        digest=digest(history),
    )


def digest(history: History) -> int:
    """A number that two runs share if everything in them is the same."""
    parts: list[object] = []
    for sent in history.sent:
        parts += sent.push_id, sent.t_invoke, sent.t_return, sorted(sent.outcomes), sorted(sent.contacted or ())
    for receipt in history.receipts:
        parts += receipt.push_id, receipt.conn, receipt.t_written, receipt.t
    for one in history.connected:
        parts += one.session, one.t, one.t_ended
    for end in history.ends:
        parts += end.node, end.epoch, end.known_to, end.t
    return zlib.crc32(repr(parts).encode())
