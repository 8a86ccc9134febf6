"""Routes that are wrong are written to etcd: the wrong node, a dead epoch, an old epoch of a live node."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence

import msgspec

from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.clients import FaultClient
from bench.faults.experiment import Criterion, Experiment, Facts
from bench.faults.load import record_push
from bench.faults.world import World
from homing import Router
from registry.etcd.store import EtcdStore
from registry.keys import Keys
from registry.model import Incarnation, SessionInfo
from registry.store import Delete, Put

PUSHES, LEAST = 10_000, 1_000
SECONDS = 90.0  # at most
BATCH = 60  # keys in one transaction
AT_ONCE = 4  # pushes
SEEN = 0.05  # seconds until the routers' tables have the keys
PLANTED, DIRECT = "planted", "direct"  # names of the streams
HEALED_LIMIT = 0.05  # seconds
KINDS = ("wrong node", "dead epoch", "old epoch")


async def plant_routes(world: World) -> Facts:
    """Beside each session's own key stands a newer one that is wrong; a push must come to the session all the same."""
    store, began, done = world.store(), time.monotonic(), 0
    addresses = world.rig.router_addresses
    async with Router(*addresses) as one, Router(*reversed(addresses)) as two:
        try:
            for number in itertools.count():
                if done >= PUSHES or time.monotonic() > began + SECONDS:
                    break
                done += await _batch(world, store, (one, two)[number % 2], number)
        finally:
            await store.close()
    return {"began": began, "planted": done}


async def _batch(world: World, store: EtcdStore, router: Router, number: int) -> int:
    clients = world.clients.live
    chosen = [clients[(number * BATCH + one) % len(clients)] for one in range(min(BATCH, len(clients)))]
    kind = KINDS[number % len(KINDS)]
    keys = [_stale_key(world, client, kind) for client in chosen]
    value = msgspec.json.encode(SessionInfo("/", "jwt", 1))
    await store.transaction([], [Put(key, value) for key in keys])
    await asyncio.sleep(SEEN)
    await _push_to(world, router, PLANTED, chosen)
    await store.transaction([], [Delete(key) for key in keys])
    await asyncio.sleep(SEEN)
    await _push_to(world, router, DIRECT, chosen[: BATCH // 4])
    return len(chosen)


def _stale_key(world: World, client: FaultClient, kind: str) -> str:
    epochs = world.rig.epochs
    other = next(node for node in sorted(epochs) if node != client.node)
    incarnation = {
        "wrong node": Incarnation(other, epochs[other]),
        "dead epoch": Incarnation("gone", 1),
        "old epoch": Incarnation(client.node, epochs[client.node] - 1),
    }[kind]
    return Keys(world.rig.cluster.name).session(client.user, client.live, incarnation)


async def _push_to(world: World, router: Router, stream: str, clients: Sequence[FaultClient]) -> None:
    """To each session, or to its user, some at once."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def push(number: int, client: FaultClient) -> None:
        async with limit:
            target = ("user", client.user) if number % 2 else ("session", str(client.live))
            await record_push(world.history, router, stream, target)

    await asyncio.gather(*(push(number, client) for number, client in enumerate(clients)))


def judge_planted(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 12; that nobody else receives a push is the checker's (I5)."""
    planted = [push for push in recording.pushes if push.stream == PLANTED]
    healed = [push for push in planted if push.outcome.healed]
    counted = figures.outcomes(planted)
    yield Criterion(
        f"{facts['planted']:,.0f} pushes on planted routes: {figures.shown_outcomes(counted)}",
        counted["WRITTEN"] > 0 and not figures.not_written(counted),
    )
    times = figures.seconds_of(healed)
    p99 = figures.percentile(times, 0.99)
    text = f"{len(healed):,} healed: {figures.shown_times(times)} (p99 limit 50 ms)"
    yield Criterion(text, bool(healed) and p99 <= HEALED_LIMIT, max(0.0, p99 - HEALED_LIMIT))
    direct = figures.seconds_of(push for push in recording.pushes if push.stream == DIRECT)
    yield Criterion(f"direct, beside them: {figures.shown_times(direct)}", bool(direct))
    enough = f"{facts['planted']:,.0f} of {PUSHES:,} within {SECONDS:.0f} s (at least {LEAST:,})"
    yield Criterion(enough, facts["planted"] >= LEAST)


STALE_ROUTES = Experiment(
    *("12", "stale routes", f"write {PUSHES:,} stale routes: wrong node, dead epoch, old epoch of a live node"),
    *(plant_routes, judge_planted),
)
