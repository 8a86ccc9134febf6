"""A gateway has no files left for more clients."""

import asyncio
import os
import resource
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.experiment import Criterion, Experiment, Facts, within
from bench.faults.figures import FOREVER
from bench.faults.world import World

NODE = "g0"
SPARE = 20  # files beyond those that are open
MORE = 100  # clients
SECONDS = 5.0
TICKS = os.sysconf("SC_CLK_TCK")  # a second


async def exhaust(world: World) -> Facts:
    """100 clients more than there are files for; when they go, the next one is served."""
    pid = world.rig.gateways[NODE].process.pid
    limit = len(os.listdir(f"/proc/{pid}/fd")) + SPARE
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    address = urlsplit(world.rig.addresses.urls[NODE])
    with world.fault("file limit", NODE) as began:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        opened = [_connect(str(address.hostname), int(address.port or 0)) for _ in range(MORE)]
        await asyncio.sleep(0.5)
        ended = sum(map(_ended, opened))
        used = _cpu(pid)
        await asyncio.sleep(SECONDS)
        used = (_cpu(pid) - used) / SECONDS
        for one in opened:
            one.close()
        freed = time.monotonic()
        recovered = await _recovery(str(address.hostname), int(address.port or 0), freed)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    return {"began": began, "ended_at_once": ended, "cpu": used, "recovered": recovered}


def _connect(host: str, port: int) -> socket.socket:
    opened = socket.create_connection((host, port), timeout=5)
    opened.setblocking(False)
    return opened


def _ended(opened: socket.socket) -> bool:
    try:
        return opened.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


async def _recovery(host: str, port: int, freed: float) -> float:
    """Seconds until a connection is served: one that is not is ended at once."""
    while time.monotonic() < freed + 5:
        one = _connect(host, port)
        await asyncio.sleep(0.1)
        ended = _ended(one)
        one.close()
        if not ended:
            return time.monotonic() - freed
    return FOREVER


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def judge(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 23."""
    least = MORE - SPARE
    text = f"{facts['ended_at_once']:.0f} of {MORE} connections ended at once (at least {least} have no file)"
    yield Criterion(text, facts["ended_at_once"] >= least)
    yield Criterion(f"its CPU meanwhile, with the load: {facts['cpu']:.0%} of a core (limit 40 %)", facts["cpu"] < 0.4)
    yield within("the next one is served, after they have gone", facts["recovered"], 1)
    lost = figures.ended_between(recording, facts["began"])
    yield Criterion(f"{len(lost)} clients disconnected", not lost)
    counted = figures.outcomes(figures.pushes_between(recording, facts["began"]))
    bad = figures.not_written(counted).total()
    yield Criterion(f"{bad} pushes not written: {figures.shown_outcomes(counted)}", not bad)


FILE_LIMIT = Experiment(
    *("23", "no files left", f"lower a gateway's file limit to {SPARE} more than are open, {MORE} clients come"),
    *(exhaust, judge),
)
