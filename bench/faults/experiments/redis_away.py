"""Redis is killed and comes back empty, or hangs."""

import asyncio
import time
from collections.abc import Iterator

from redis.asyncio import Redis

from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.experiment import Criterion, Experiment, Facts, within
from bench.faults.figures import FOREVER
from bench.faults.visitors import with_visitors
from bench.faults.world import World

KILLED, STOPPED = 20.0, 10.0  # seconds
VIEWS_WITHIN = 30.0  # seconds to look for the views


async def kill_redis(world: World) -> Facts:
    """SIGKILL for 20 s; the next one is empty."""

    async def kill() -> float:
        with world.fault("SIGKILL", "redis"):
            await asyncio.to_thread(world.rig.redis.kill)
            await asyncio.sleep(KILLED)
            await asyncio.to_thread(world.rig.redis.restart)
        return await _wait_views(world)

    began = time.monotonic()
    visitors, rebuilt = await with_visitors(world, kill())
    return {"began": began, "rebuilt": rebuilt, **visitors.facts()}


async def _wait_views(world: World) -> float:
    """Seconds until the views have every connected session; inf: not within the limit."""
    began = time.monotonic()
    async with Redis.from_url(f"redis://{world.rig.redis.endpoint}") as redis:
        while time.monotonic() < began + VIEWS_WITHIN:
            keys = {key async for key in redis.scan_iter("ws:client:*", count=1000)}
            if all(f"ws:client:{client.live}".encode() in keys for client in world.clients.live):
                return time.monotonic() - began
            await asyncio.sleep(0.25)
    return FOREVER


async def stop_redis(world: World) -> Facts:
    """SIGSTOP for 10 s: it hangs and refuses nothing."""

    async def stop() -> float:
        async with world.paused("redis", world.rig.redis.pid):
            await asyncio.sleep(STOPPED)
        return time.monotonic()

    began = time.monotonic()
    visitors, ended = await with_visitors(world, stop())
    return {"began": began, "ended": ended, **visitors.facts()}


def _pushes_unaffected(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Promise 6."""
    pushes = figures.pushes_between(recording, facts["began"], facts.get("ended", FOREVER))
    counted, times = figures.outcomes(pushes), figures.seconds_of(pushes)
    before = figures.seconds_of(figures.pushes_between(recording, 0, facts["began"]))
    yield Criterion(figures.shown_outcomes(counted), not figures.not_written(counted))
    p99 = figures.percentile(times, 0.99)
    text = f"calls: {figures.shown_times(times)} (before: {figures.shown_times(before)}; p99 limit 50 ms)"
    yield Criterion(text, p99 <= 0.05, max(0.0, p99 - 0.05))
    lost = figures.ended_between(recording, facts["began"])
    yield Criterion(f"{len(lost)} clients disconnected", not lost)
    text = "{visitors:.0f} visitors came, {missed:.0f} not found by their push"
    yield Criterion(text.format(**facts), not facts["missed"] and facts["visitors"] > 0)
    yield Criterion(f"connects: {figures.refusals(recording, facts['began'])}", not facts["refused"])


def judge_killed(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 16."""
    yield from _pushes_unaffected(recording, facts)
    yield within("views rebuilt after the restart", facts["rebuilt"], 10)


REDIS_EXPERIMENTS = (
    Experiment(
        *("16", "redis killed", f"SIGKILL Redis for {KILLED:.0f} s, empty restart"), *(kill_redis, judge_killed)
    ),
    Experiment(
        *("17", "redis hangs", f"SIGSTOP Redis for {STOPPED:.0f} s"),
        *(stop_redis, _pushes_unaffected),
        remark="There is no circuit breaker yet, and the timeout of an operation is 2 s.",
    ),
)
