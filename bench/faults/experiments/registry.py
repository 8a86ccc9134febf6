"""etcd: its leader killed, a member frozen, without quorum, hanging past every lease, compacted."""

import asyncio
import time
from collections.abc import Iterator

from bench.cluster.process_usage import rss_bytes
from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.experiment import Criterion, Experiment, Facts, within
from bench.faults.figures import FOREVER
from bench.faults.rig import REGISTRY_TTL
from bench.faults.visitors import with_visitors
from bench.faults.world import World
from tests.support.cluster import Service
from tests.support.servers import Server

KILLS = 10
DOWN, BETWEEN = 1.0, 2.0  # seconds that a killed leader is down, and until the next is killed
FROZEN = 10.0  # seconds
AWAY = 20.0  # seconds
PAUSED = 15.0  # seconds
RESYNC = "The route table is read again"  # a router's log line
MIB = 1024 * 1024


def _disturbed(recording: Recording, began: float) -> Iterator[Criterion]:
    """What no experiment with etcd may show."""
    lost = figures.ended_between(recording, began)
    yield Criterion(f"{len(lost)} clients disconnected {figures.close_codes(lost)}".rstrip(), not lost)
    pushes = figures.pushes_between(recording, began)
    wrong = figures.wrongly_offline(push for push in pushes if push.stream != "visitors")
    yield Criterion(f"{len(wrong)} OFFLINE without registry_away", not wrong)


def _every_push_written(recording: Recording, began: float, end: float = FOREVER) -> Criterion:
    pushes = figures.pushes_between(recording, began, end)
    counted = figures.outcomes(push for push in pushes if push.stream != "visitors")
    return Criterion(figures.shown_outcomes(counted), not figures.not_written(counted))


def _visits(recording: Recording, facts: Facts, limit: float) -> Iterator[Criterion]:
    text = "{visitors:.0f} visitors came, {unregistered:.0f} unregistered, {missed:.0f} not found by their push"
    yield Criterion(text.format(**facts), not facts["missed"] and facts["visitors"] > 0)
    yield Criterion(f"connects: {figures.refusals(recording, facts['began'])}", not facts["refused"])
    yield within("their connect p99", facts["connect_p99"], limit)


async def kill_leaders(world: World) -> Facts:
    """SIGKILL to etcd's leader, ten times; each is started again."""

    async def kill_all() -> float:
        epochs = dict(world.rig.epochs)
        for _ in range(KILLS):
            leader = await world.rig.leader()
            with world.fault("SIGKILL", "etcd's leader"):
                await asyncio.to_thread(leader.kill)
                await asyncio.sleep(DOWN)
            await asyncio.to_thread(leader.restart)
            await asyncio.sleep(BETWEEN)
        return float(sum(epochs[node] != world.rig.epochs[node] for node in epochs))

    began = time.monotonic()
    visitors, changed = await with_visitors(world, kill_all())
    return {"began": began, "changed": changed, **visitors.facts()}


def judge_leaders(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 9."""
    yield from _disturbed(recording, facts["began"])
    yield Criterion(f"{facts['changed']:.0f} epochs changed", not facts["changed"])
    yield _every_push_written(recording, facts["began"])
    yield from _visits(recording, facts, 3)


async def freeze_members(world: World) -> Facts:
    """SIGSTOP to a follower for 10 s, then to the leader."""

    async def freeze() -> None:
        leader = await world.rig.leader()
        follower = next(member for member in world.rig.etcd if member is not leader)
        for member in (follower, leader):
            async with world.paused("etcd's follower" if member is follower else "etcd's leader", member.pid):
                await asyncio.sleep(FROZEN)
            await asyncio.sleep(2)

    began = time.monotonic()
    visitors, _ = await with_visitors(world, freeze())
    return {"began": began, **visitors.facts()}


def judge_freeze(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 9, a member that hangs."""
    yield from _disturbed(recording, facts["began"])
    yield _every_push_written(recording, facts["began"])
    yield from _visits(recording, facts, 3)


async def lose_quorum(world: World) -> Facts:
    """SIGKILL to two of three members; both are started again."""
    routers = [router.process.pid for router in world.rig.routers]
    before = sum(map(rss_bytes, routers))

    async def lose() -> float:
        killed = world.rig.etcd[:2]
        with world.fault("without quorum", "store"):
            for member in killed:
                await asyncio.to_thread(member.kill)
            await asyncio.sleep(AWAY)
            after = sum(map(rss_bytes, routers))
            for member in killed:
                await asyncio.to_thread(_restart, member)
        await asyncio.sleep(5)
        return (after - before) / MIB

    began = time.monotonic()
    visitors, grown = await with_visitors(world, lose())
    return {"began": began, "grown": grown, **visitors.facts()}


def _restart(member: Server) -> None:
    """Start it without waiting for its health: that comes with the second one."""
    member._ready = lambda _port: True
    member.restart()


def judge_quorum(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 10."""
    yield from _disturbed(recording, facts["began"])
    yield _every_push_written(recording, facts["began"])
    yield within("visitors' connect p99", facts["connect_p99"], 5)
    text = "{visitors:.0f} visitors came, {unregistered:.0f} unregistered, {missed:.0f} not found by their push"
    yield Criterion(text.format(**facts), not facts["missed"] and facts["unregistered"] > 0)
    only_503 = all(one.status == "503" for one in recording.refused)
    yield Criterion(f"connects: {figures.refusals(recording, facts['began'])}", only_503)
    times = figures.seconds_of(figures.pushes_between(recording, facts["began"]))
    yield Criterion(f"calls: {figures.shown_times(times)}", True)
    yield Criterion(f"routers grew by {facts['grown']:.1f} MiB (limit 8)", facts["grown"] < 8)


async def hang_registry(world: World) -> Facts:
    """SIGSTOP to all members for 20 s, four times the leases' ttl."""
    began = time.monotonic()
    async with world.paused("store", *(member.pid for member in world.rig.etcd)):
        await asyncio.sleep(AWAY)
    ended = time.monotonic()
    await asyncio.sleep(8)
    return {"began": began, "ended": ended}


def judge_hang(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 10, an etcd that hangs: every lease has expired when it goes on."""
    began, ended = facts["began"], facts["ended"]
    yield from _disturbed(recording, began)
    yield _every_push_written(recording, began, ended - 0.5)
    after = figures.pushes_between(recording, ended - 0.5)
    counted = figures.outcomes(after)
    fine = not figures.not_written(counted).keys() - {"UNREACHABLE"}
    yield Criterion(f"after SIGCONT: {figures.shown_outcomes(counted)}", fine)
    last = max((push.t_return for push in after if push.outcome.counts.get("UNREACHABLE")), default=ended)
    yield within("the last UNREACHABLE after SIGCONT", last - ended, REGISTRY_TTL)


async def compact_while_paused(world: World) -> Facts:
    """A router is stopped and loses its connections to etcd; clients come and go, and etcd is compacted."""
    router = world.rig.routers[1]

    async def pause() -> float:
        async with world.paused("a router", router.process.pid):
            for member in world.rig.etcd:  # its watch ends with its member, and must begin again where it was
                await asyncio.to_thread(member.kill)
                await asyncio.to_thread(member.restart)
                await asyncio.sleep(1)
            await asyncio.sleep(PAUSED / 2)
            await _compact(world)
            await asyncio.sleep(2)
        return await _wait_resync(router)

    began = time.monotonic()
    visitors, resynced = await with_visitors(world, pause())
    return {"began": began, "resynced": resynced, **visitors.facts()}


async def _wait_resync(router: Service) -> float:
    """Seconds until the router reads everything again, by its log; inf: not within 10 s."""
    began = time.monotonic()
    while time.monotonic() < began + 10:
        if RESYNC in await asyncio.to_thread(router.log.read_text):
            return time.monotonic() - began
        await asyncio.sleep(0.05)
    return FOREVER


async def _compact(world: World) -> None:
    store = world.store()
    try:
        await store.compact(await store.revision())
    finally:
        await store.close()


def judge_compaction(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 11."""
    yield within("resync after SIGCONT", facts["resynced"], 2)
    yield from _disturbed(recording, facts["began"])
    counted = figures.outcomes(figures.pushes_between(recording, facts["began"]))
    bad = figures.not_written(counted).keys() - {"EXPIRED", "unknown"}
    yield Criterion(figures.shown_outcomes(counted), not bad)


REGISTRY_EXPERIMENTS = (
    Experiment(
        *("9", "etcd leader killed", f"SIGKILL etcd's leader {KILLS} times, about 4 s apart"),
        *(kill_leaders, judge_leaders),
    ),
    Experiment(
        *("9a", "etcd member frozen", f"SIGSTOP a follower for {FROZEN:.0f} s, then the leader"),
        *(freeze_members, judge_freeze),
    ),
    Experiment(
        *("10", "etcd without quorum", f"SIGKILL two of three members for {AWAY:.0f} s"),
        *(lose_quorum, judge_quorum),
        remark="A node refuses clients with 503 while its lease is uncertain and the routers have not answered yet"
        ' (docs/design.md, "Dead, paused, cut off").',
    ),
    Experiment(
        *("10a", "etcd hangs", f"SIGSTOP all members for {AWAY:.0f} s, past every lease"), *(hang_registry, judge_hang)
    ),
)
COMPACTION = Experiment(
    *("11", "compaction", f"restart etcd's members and compact it while a router is stopped for about {PAUSED:.0f} s"),
    *(compact_while_paused, judge_compaction),
    unreported=True,
)
