"""A gateway is killed, or paused for less and for longer than its lease; all services are restarted in turn."""

import asyncio
import time
from collections.abc import Iterator

from redis.asyncio import Redis

from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.experiment import Criterion, Experiment, Facts, within
from bench.faults.figures import FOREVER
from bench.faults.rig import GATEWAYS, REGISTRY_TTL
from bench.faults.world import World

EJECTED_WITHIN = 0.2  # seconds
PUBLISHED_WITHIN = 25.0  # seconds after the kill: the lease, the sweep, and some
VICTIM = "g0"


async def kill_gateway(world: World) -> Facts:
    """SIGKILL, while its clients come back to the others."""
    victim = world.rig.remove_gateway(VICTIM)
    sessions = {client.live for client in world.clients.live if client.node == VICTIM}
    with world.fault("SIGKILL", VICTIM) as began:
        await victim.kill()
        await asyncio.sleep(REGISTRY_TTL + 5)
    unpublished = len(sessions)
    while unpublished and time.monotonic() < began + PUBLISHED_WITHIN:
        unpublished = len(sessions - await _disconnects(world))
        await asyncio.sleep(0.25)
    return {"began": began, "unpublished": unpublished, "published": time.monotonic() - began}


async def _disconnects(world: World) -> set[int]:
    """The sessions whose disconnect was published as an event."""
    async with Redis.from_url(f"redis://{world.rig.redis.endpoint}") as redis:
        entries = await redis.xrange(world.rig.cluster.stream) or []
    records = [fields or {} for _, fields in entries]
    return {int(fields[b"X-ID"]) for fields in records if fields[b"X-Event"] == b"disconnect"}


def judge_kill(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 1."""
    began = facts["began"]
    gaps = figures.gaps(recording, began)
    later = figures.pushes_between(recording, began + EJECTED_WITHIN, began + REGISTRY_TTL)
    times = figures.seconds_of(later)
    counted = figures.outcomes(figures.pushes_between(recording, began))
    yield Criterion(f"{len(gaps)} clients lost", len(gaps) > 0)
    yield within("99 % back", figures.percentile(gaps, 0.99), 5)
    yield within("all back", max(gaps, default=FOREVER), 15)
    text = f"calls from {EJECTED_WITHIN} s after the kill on: {figures.shown_times(times)} (p99 limit 200 ms)"
    yield Criterion(text, figures.percentile(times, 0.99) <= 0.2, figures.percentile(times, 0.99) - 0.2)
    yield Criterion(figures.shown_outcomes(counted), counted["UNREACHABLE"] > 0)
    text = f"{facts['unpublished']:.0f} disconnects of its sessions not published {facts['published']:.0f} s after"
    yield Criterion(text, not facts["unpublished"])


async def pause_briefly(world: World) -> Facts:
    """SIGSTOP for 2 s, which is shorter than the lease."""
    epoch = world.rig.epochs[VICTIM]
    async with world.paused(VICTIM, world.rig.gateways[VICTIM].process.pid) as began:
        await asyncio.sleep(2)
    ended = time.monotonic()
    await asyncio.sleep(3)
    return {"began": began, "ended": ended, "same_epoch": epoch == world.rig.epochs[VICTIM]}


def judge_brief_pause(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 4."""
    began, ended = facts["began"], facts["ended"]
    meanwhile = figures.pushes_between(recording, began, ended)
    ids = {push.push_id for push in meanwhile}
    last = max((one.t_mono for one in recording.receipts if one.push_id in ids), default=ended)
    lost = len(figures.ended_between(recording, began))
    yield Criterion(f"{lost} clients disconnected", not lost)
    yield Criterion("the same epoch", bool(facts["same_epoch"]))
    yield within("backlog received after SIGCONT", last - ended, 2)
    counted = figures.outcomes(meanwhile)
    yield Criterion(f"pushes meanwhile: {figures.shown_outcomes(counted)}", counted["WRITTEN"] > 0)


async def pause_past_lease(world: World) -> Facts:
    """SIGSTOP for 20 s; its clients notice nothing until it goes on."""
    epoch = world.rig.epochs[VICTIM]
    sessions = {client.live for client in world.clients.live if client.node == VICTIM}
    async with world.paused(VICTIM, world.rig.gateways[VICTIM].process.pid) as began:
        await asyncio.sleep(20)
    ended = time.monotonic()
    await asyncio.sleep(5)
    new_epoch = world.rig.epochs[VICTIM] > epoch
    return {"began": began, "ended": ended, "sessions": len(sessions), "new_epoch": new_epoch, "epoch": epoch}


def judge_long_pause(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 5."""
    began, ended = facts["began"], facts["ended"]
    sessions = {one.session for one in recording.connected if one.node == VICTIM and one.t < began}
    written = [one for one in recording.receipts if one.session in sessions and one.t_mono > ended]
    closed = [one for one in figures.ended_between(recording, ended) if one.t < ended + 10]
    yield Criterion(f"{len(written)} frames of the old incarnation after SIGCONT", not written)
    yield Criterion(
        f"{len(closed)} of {facts['sessions']:.0f} closed: {figures.close_codes(closed)}",
        len(closed) == facts["sessions"] and all(one.code == 1012 for one in closed),
    )
    yield within("the last of them after SIGCONT", max((one.t for one in closed), default=FOREVER) - ended, 3)
    yield Criterion("a new epoch", bool(facts["new_epoch"]))
    counted = figures.outcomes(figures.pushes_between(recording, began, ended))
    yield Criterion(f"pushes meanwhile: {figures.shown_outcomes(counted)}", counted["WRITTEN"] > 0)


async def restart_everything(world: World) -> Facts:
    """SIGTERM to each gateway and router in turn; another one takes its place."""
    statuses, longest = [], 0.0
    with world.fault("rolling SIGTERM", "all") as began:
        for number in range(GATEWAYS):
            stopping = time.monotonic()
            statuses.append(await world.rig.remove_gateway(f"g{number}").stop())
            longest = max(longest, time.monotonic() - stopping)
            await world.rig.start_gateway(f"g{number + GATEWAYS}")
            await world.clients.wait_live(10)
        gateways_done = time.monotonic()
        for router in list(world.rig.routers):
            statuses.append(await world.rig.restart_router(router))
            await asyncio.sleep(1)
    return {"began": began, "longest": longest, "failed": sum(map(bool, statuses)), "gateways_done": gateways_done}


def judge_restarts(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 3. A client that is connected elsewhere before its old connection ends has no gap."""
    gaps = figures.gaps(recording, facts["began"], bare=False)
    counted = figures.outcomes(figures.pushes_between(recording, facts["began"]))
    bad = counted["UNREACHABLE"] + counted["error"] + counted["unknown"]
    yield Criterion(f"{bad} errors or UNREACHABLE at callers: {figures.shown_outcomes(counted)}", not bad)
    yield Criterion(f"{facts['failed']:.0f} exit statuses other than 0", not facts["failed"])
    yield within("slowest stop of a gateway", facts["longest"], 30)
    yield Criterion(
        f"clients' gap: {figures.shown_times(gaps)} (p99 limit 500 ms)", figures.percentile(gaps, 0.99) <= 0.5
    )
    bare = figures.gaps(recording, facts["began"], bare=True)
    text = f"gap of {len(bare)} bare connections, which cannot move: {figures.shown_times(bare)}"
    yield Criterion(text, bool(bare) and bare[-1] < FOREVER)


GATEWAY_EXPERIMENTS = (
    Experiment("1", "gateway killed", "SIGKILL one of 3 gateways", kill_gateway, judge_kill),
    Experiment("4", "gateway paused 2 s", "SIGSTOP a gateway for 2 s", pause_briefly, judge_brief_pause),
    Experiment("5", "gateway paused 20 s", "SIGSTOP a gateway for 20 s", pause_past_lease, judge_long_pause),
    Experiment(
        *("3", "rolling restart", "SIGTERM to all gateways, then both routers, one by one; each is replaced"),
        *(restart_everything, judge_restarts),
    ),
)
