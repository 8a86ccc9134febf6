"""The certificate of all gateways is renewed while clients are pushed to."""

import asyncio
import signal
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.experiment import Criterion, Experiment, Facts, within
from bench.faults.figures import FOREVER
from bench.faults.visitors import with_visitors
from bench.faults.world import World

SHOWN_WITHIN = 5.0  # seconds
LOAD_AFTER = 5.0  # seconds


async def renew(world: World) -> Facts:
    """New files, then SIGHUP to each gateway; visitors come all the time."""

    async def rotate() -> float:
        before = [await asyncio.to_thread(_shown, url) for url in world.rig.addresses.urls.values()]
        await asyncio.sleep(1)
        with world.fault("SIGHUP", "gateways") as began:
            world.rig.renew_certificate()
            for gateway in world.rig.gateways.values():
                gateway.signal(signal.SIGHUP)
        shown = FOREVER
        while time.monotonic() < began + SHOWN_WITHIN and shown == FOREVER:
            now = [await asyncio.to_thread(_shown, url) for url in world.rig.addresses.urls.values()]
            if not set(now) & set(before):
                shown = time.monotonic() - began
        await asyncio.sleep(LOAD_AFTER)
        return shown

    began = time.monotonic()
    visitors, shown = await with_visitors(world, rotate())
    return {"began": began, "shown": shown, **visitors.facts()}


def _shown(url: str) -> str:
    """The certificate that a gateway shows."""
    found = urlsplit(url)
    return ssl.get_server_certificate((str(found.hostname), int(found.port or 0)), timeout=5)


def judge(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 25."""
    lost = figures.ended_between(recording, facts["began"])
    lost = [one for one in lost if one.client >= 0]
    yield Criterion(f"{len(lost)} clients disconnected", not lost)
    yield within("all gateways show the new certificate", facts["shown"], 1)
    counted = figures.outcomes(figures.pushes_between(recording, facts["began"]))
    bad = figures.not_written(counted).total()
    yield Criterion(f"{bad} pushes not written: {figures.shown_outcomes(counted)}", not bad and counted["WRITTEN"] > 0)
    text = f"{facts['visitors']:.0f} visitors came, {facts['refused']:.0f} were refused"
    yield Criterion(text, facts["visitors"] > 0 and not facts["refused"])


ROTATION = Experiment(
    *("25", "certificate renewed", "renew the certificate of all gateways, SIGHUP", renew, judge), tls=True
)
