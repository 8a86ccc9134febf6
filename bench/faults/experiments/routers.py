"""A router is killed over and over, or paused; its callers go on at the other one."""

import asyncio
import time
from collections.abc import Iterator

from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.experiment import Criterion, Experiment, Facts, within
from bench.faults.world import World

KILLS = 10
BETWEEN = 1.0  # seconds from a restart to the next kill
PAUSED = 15.0  # seconds


async def kill_routers(world: World) -> Facts:
    """SIGKILL to one router after the other; each is started again at its addresses."""
    began = time.monotonic()
    for _ in range(KILLS):
        with world.fault("SIGKILL", "a router"):
            await world.rig.restart_router(world.rig.routers[0], kill=True)
        await asyncio.sleep(BETWEEN)
    return {"began": began}


def judge_kills(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 19; that nothing is doubled or lost is the checker's."""
    pushes = figures.pushes_between(recording, facts["began"])
    counted = figures.outcomes(pushes)
    times = figures.seconds_of(pushes)
    yield Criterion(figures.shown_outcomes(counted), not figures.not_written(counted))
    yield within(f"calls: {figures.shown_times(times)}; the longest", max(times, default=0.0), 1)
    lost = figures.ended_between(recording, facts["began"])
    yield Criterion(f"{len(lost)} clients disconnected", not lost)


async def pause_router(world: World) -> Facts:
    """SIGSTOP for 15 s."""
    async with world.paused("a router", world.rig.routers[0].process.pid) as began:
        await asyncio.sleep(PAUSED)
    ended = time.monotonic()
    await asyncio.sleep(5)
    return {"began": began, "ended": ended}


def judge_pause(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 19, a router that hangs: its callers wait for it at most as long as a ttl and the client library's margin."""
    pushes = figures.pushes_between(recording, facts["began"], facts["ended"])
    both = {name: [one for one in pushes if one.stream == name] for name in ("stream-0", "stream-1")}
    for name, own in both.items():
        counted, times = figures.outcomes(own), figures.seconds_of(own)
        text = f"{name}: {figures.shown_outcomes(counted)}; calls: {figures.shown_times(times)}"
        fine = not figures.not_written(counted).keys() - ({"EXPIRED", "unknown"} if name == "stream-0" else set())
        yield Criterion(text, fine)
    yield within(
        "p99 of calls through the other router", figures.percentile(figures.seconds_of(both["stream-1"]), 0.99), 0.5
    )
    lost = figures.ended_between(recording, facts["began"])
    yield Criterion(f"{len(lost)} clients disconnected", not lost)


ROUTER_EXPERIMENTS = (
    Experiment(
        *("19", "router killed", f"SIGKILL a router {KILLS} times under load; each is started again"),
        *(kill_routers, judge_kills),
    ),
    Experiment(
        *("19a", "router paused", f"SIGSTOP a router for {PAUSED:.0f} s"), *(pause_router, judge_pause), unreported=True
    ),
)
