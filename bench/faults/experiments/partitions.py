"""One gateway is cut off from etcd or from the routers, both ways and one way, by proxies that pass nothing on.

As in a network that drops packets, connections stay open, and what was sent meanwhile arrives when it goes on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

from bench.faults import figures
from bench.faults.checker import Recording
from bench.faults.experiment import Criterion, Experiment, Facts, within
from bench.faults.figures import FOREVER
from bench.faults.rig import REGISTRY_TTL
from bench.faults.world import World
from tests.support.proxy import Proxy

CUT = "g0"
FROM_ETCD, FROM_ROUTERS = 20.0, 15.0  # seconds
NOTICED = 0.5  # seconds
KEEP_AND_MOVE = 8.0  # seconds beyond the TTL: to notice, to try to keep the clients, to come back (docs/promises.md)
KEPT = "A fenced gateway tries for 2 to 5 s to keep its clients, then closes them; they wait up to 1 s to come back."


async def _blocked(world: World, proxies: Iterable[Proxy], subject: str, seconds: float, **directions: bool) -> Facts:
    proxies = list(proxies)
    with world.fault("blocked", subject) as began:
        for proxy in proxies:
            proxy.freeze(**directions)
        await asyncio.sleep(seconds)
        for proxy in proxies:
            proxy.thaw()
    return {"began": began, "ended": time.monotonic()}


def block_etcd(**directions: bool) -> Callable[[World], Awaitable[Facts]]:
    """Between the gateway and etcd. `directions`: as of `Proxy.freeze`."""

    async def block(world: World) -> Facts:
        epoch = world.rig.epochs[CUT]
        facts = await _blocked(world, world.rig.etcd_proxies, f"{CUT} etcd", FROM_ETCD, **directions)
        while world.rig.epochs[CUT] <= epoch and time.monotonic() < facts["ended"] + 15:
            await asyncio.sleep(0.05)
        back = time.monotonic() - facts["ended"] if world.rig.epochs[CUT] > epoch else FOREVER
        return {**facts, "back": back}

    return block


def judge_etcd(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Row 6."""
    began, ended = facts["began"], facts["ended"]
    over = min((one.t for one in recording.ends if one.node == CUT and one.t > began), default=FOREVER)
    yield within("its incarnation over for the routers", over - began, REGISTRY_TTL + 2)
    nodes = {one.conn: one.node for one in recording.connected}
    lost = figures.ended_between(recording, began, ended)
    others = [one for one in lost if nodes[one.conn] != CUT]
    yield Criterion(f"{len(others)} clients of other gateways disconnected", not others)
    moved = [one.t for one in recording.connected if began < one.t < ended and one.client >= 0 and one.node != CUT]
    closed = f"until {max((one.t for one in lost), default=began) - began:.2f} s after the begin"
    text = f"{len(lost)} of its clients closed: {figures.close_codes(lost)}, {closed}"
    yield Criterion(text, len(lost) == len(moved) > 0)
    yield within(
        "its clients elsewhere after the begin", max(moved, default=FOREVER) - began, REGISTRY_TTL + KEEP_AND_MOVE
    )
    yield within("back with a new epoch after the end", facts["back"], 5)
    counted = figures.outcomes(figures.pushes_between(recording, began))
    yield Criterion(figures.shown_outcomes(counted), counted["WRITTEN"] > 0)


def block_routers(**directions: bool) -> Callable[[World], Awaitable[Facts]]:
    """Between the gateway and both routers."""

    async def block(world: World) -> Facts:
        assert world.rig.router_proxy is not None
        facts = await _blocked(world, [world.rig.router_proxy], f"{CUT} routers", FROM_ROUTERS, **directions)
        await asyncio.sleep(4)
        return facts

    return block


def judge_routers(recording: Recording, facts: Facts) -> Iterator[Criterion]:
    """Rows 7 and 8."""
    began, ended = facts["began"], facts["ended"]
    pushes = figures.pushes_between(recording, began, ended)
    counted, times = figures.outcomes(pushes), figures.seconds_of(pushes)
    first = figures.seconds_of(figures.pushes_between(recording, began, began + 1))
    yield Criterion(f"meanwhile: {figures.shown_outcomes(counted)}", counted["UNREACHABLE"] > 0)
    yield within(f"calls: {figures.shown_times(times)}; the longest", max(times, default=0.0), 1)
    yield within("the longest call of the first second", max(first, default=0.0), 1)
    late = figures.pushes_between(recording, ended + NOTICED)
    last = max((one.t_invoke for one in late if figures.not_written(figures.outcomes([one]))), default=ended)
    yield within("the last push that was not written, after the end", last - ended, 2)
    lost = figures.ended_between(recording, began)
    yield Criterion(f"{len(lost)} clients disconnected", not lost)


TO, FROM = {"to_client": False}, {"to_server": False}


def _etcd_experiment(number: str, name: str, what: str, **directions: bool) -> Experiment:
    action = f"block {what} for {FROM_ETCD:.0f} s, all other paths open"
    return Experiment(number, name, action, block_etcd(**directions), judge_etcd, proxied=True, remark=KEPT)


def _router_experiment(number: str, name: str, what: str, **directions: bool) -> Experiment:
    action = f"block {what} for {FROM_ROUTERS:.0f} s"
    return Experiment(number, name, action, block_routers(**directions), judge_routers, proxied=True)


PARTITION_EXPERIMENTS = (
    _etcd_experiment("6", "partition from etcd", "one gateway and etcd"),
    _etcd_experiment("6a", "partition to etcd one way", "one gateway's requests to etcd", **TO),
    _etcd_experiment("6b", "partition by etcd one way", "etcd's answers to one gateway", **FROM),
    _router_experiment("7", "partition from routers", "the routers and one gateway"),
    _router_experiment("8", "partition to routers one way", "one gateway to the routers", **FROM),
    _router_experiment("8a", "partition by routers one way", "the routers to one gateway", **TO),
)
