"""Many clients do not read, with full windows, while the others are pushed to."""

import asyncio
import statistics
import time
from collections.abc import Iterator

from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.experiment import Criterion, Experiment, Facts
from bench.faults.stopped_readers import StoppedReaders, as_facts, resident, windows_of
from bench.faults.world import World
from homing import Router

READERS, ROUNDS = 200, 5
SECONDS, INTERVAL = 2.5, 0.1  # of a window, and from one push in it to the next
SMALL, LARGE = 1024, 16 * 1024  # bytes
FULL = 3  # large pushes in a row of which the kernel has taken nothing
MOST = 60  # large pushes until nobody takes more
UNSENT = 256 * 1024  # bytes that a client may have in its gateway's buffers


async def stop_reading(world: World) -> Facts:
    """Five times in turn: all read, and none does; each gets the same pushes."""
    pids = [gateway.process.pid for gateway in world.rig.gateways.values()]
    reading, stopped, grown = [], [], 0.0
    async with Router(*world.rig.router_addresses) as router:
        readers = StoppedReaders(world, router)
        try:
            await readers.open(READERS)
            queued = 0
            for _ in range(ROUNDS):
                reading.append(await _window(readers))
                base = resident(pids)
                readers.read(False)
                await _fill(readers)
                with world.fault("stopped", "readers"):
                    stopped.append(await _window(readers))
                    queued += (await readers.push(SMALL)).get("QUEUED", 0)
                    grown = max(grown, resident(pids) - base)
                readers.read(True)
                await readers.wait_received(10)
            missing, wrong = len(readers.missing()), len(readers.wrongly_received())
        finally:
            await readers.close()
    facts = {"grown": grown, "missing": missing, "wrong": wrong, "queued": queued, "accepted": len(readers.accepted)}
    return {"began": reading[0][0], **facts, **as_facts("reading", reading), **as_facts("stopped", stopped)}


async def _window(readers: StoppedReaders) -> tuple[float, float]:
    began = time.monotonic()
    while time.monotonic() < began + SECONDS:
        await readers.push(SMALL)
        await asyncio.sleep(INTERVAL)
    return began, time.monotonic()


async def _fill(readers: StoppedReaders) -> None:
    """Push until the kernel takes nothing more for anybody, some times in a row: clients read ahead."""
    full = 0
    for _ in range(MOST):
        full = 0 if (await readers.push(LARGE)).get("WRITTEN", 0) else full + 1
        if full == FULL:
            return
        await asyncio.sleep(INTERVAL if full else 0)


def judge(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 53 of the bad inputs, for 200 clients at once."""
    p99 = {
        name: [
            figures.percentile(figures.seconds_of(figures.pushes_between(recording, *window)), 0.99)
            for window in windows_of(name, facts)
        ]
        for name in ("reading", "stopped")
    }
    shown = {name: ", ".join(f"{value * 1e3:.1f}" for value in values) for name, values in p99.items()}
    middle, highest = statistics.median(p99["stopped"]), max(p99["reading"])
    text = f"p99 of the others' calls, ms: while they read {shown['reading']}; while they do not {shown['stopped']}"
    yield Criterion(text, middle <= highest, max(0.0, middle - highest))
    full = facts["queued"] == READERS * ROUNDS
    yield Criterion(f"{facts['queued']:.0f} of {READERS * ROUNDS} had full windows, and stayed", full)
    text = f"{facts['missing']:.0f} of {facts['accepted']:,.0f} frames WRITTEN or QUEUED did not arrive once they read"
    yield Criterion(text, not facts["missing"])
    yield Criterion(f"{facts['wrong']:.0f} arrived that were reported as not written", not facts["wrong"])
    most = READERS * UNSENT
    text = f"gateways grew by {facts['grown'] / 2**20:.1f} MiB (at most {most / 2**20:.0f}, what all may leave unsent)"
    yield Criterion(text, facts["grown"] <= most)


STOPPED_READERS = Experiment(
    *("28", "stopped readers", f"{READERS} clients stop reading until their windows are full, five times"),
    *(stop_reading, judge),
)
