"""The CPU of a small transaction in etcd, and of its message in a router, at several rates.

    python -m bench.scale.messages [--rates 100,400,1000,3000,8000] [--json]

Transactions of two keys (a session and its batch guard, as a gateway with few connects a second writes them) go to an
etcd of its own, with fsync, first without a router, then with one process that follows them as a router does. A process
that seldom has work pays for each wake-up, so the cost of one falls as the rate rises. One minute.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import uvloop

from bench.cluster.process_usage import cpu_seconds
from bench.scale.routes import SyntheticRoutes
from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.feed import StoreRouteFeed
from registry.ports import RegistrySettings
from registry.store import Put
from tests.support.servers import Server, start_etcd

CLUSTER = "scale"
NODES = 60
WRITERS = 32  # transactions at once
SECONDS = 4.0  # of each rate
SETTLE = 0.5  # seconds


async def follow(endpoint: str) -> None:
    """A router's feed alone, until stdin ends."""
    feed = StoreRouteFeed(EtcdStore(EtcdSettings(endpoints=(endpoint,))), RegistrySettings(cluster=CLUSTER))
    running = asyncio.ensure_future(feed.run())
    await feed.wait_synced()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    running.cancel()


async def write(stores: list[EtcdStore], routes: SyntheticRoutes, first: int, rate: float) -> int:
    """Transactions at this rate, or as many as etcd takes; their number."""
    numbers, began = count(first), time.perf_counter()

    async def writer(store: EtcdStore) -> None:
        for number in numbers:
            due = (number - first) / rate
            if max(due, time.perf_counter() - began) >= SECONDS:
                return
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            incarnation = routes.incarnations[number % NODES]
            guard = Put(routes.keys.batch(incarnation.node), b"%d" % number)
            await store.transaction([], [routes.session_put(number), guard])

    await asyncio.gather(*(writer(store) for store in stores))
    return next(numbers) - first - len(stores)  # each writer took one more


async def measure(etcd: Server, rates: list[float]) -> list[dict[str, Any]]:
    """A row for each rate, without and with a router."""
    routes = SyntheticRoutes(CLUSTER, NODES)
    stores = [EtcdStore(EtcdSettings(endpoints=(etcd.endpoint,))) for _ in range(WRITERS)]
    await stores[0].transaction([], routes.node_puts())
    rows, first, pipe = [], 0, asyncio.subprocess.PIPE
    for routers in (0, 1):
        pids, command = [etcd.process.pid], (sys.executable, "-m", "bench.scale.messages", "--follow", etcd.endpoint)
        if routers:
            follower = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
            assert follower.stdout is not None
            await follower.stdout.readline()
            pids.append(follower.pid)
        for rate in rates:
            await asyncio.sleep(SETTLE)
            began, before = time.perf_counter(), [cpu_seconds(pid) for pid in pids]
            written = await write(stores, routes, first, rate)
            first, seconds = first + written + WRITERS, time.perf_counter() - began
            await asyncio.sleep(SETTLE)
            used = [(cpu_seconds(pid) - cpu) / written * 1e6 for pid, cpu in zip(pids, before, strict=True)]
            row = {"routers": routers, "rate": rate, "reached": round(written / seconds), "etcd_us": round(used[0])}
            rows.append(row | ({"router_us": round(used[1])} if routers else {}))
            print(rows[-1], file=sys.stderr, flush=True)
        if routers:
            follower.kill()
            await follower.wait()
    for store in stores:
        await store.close()
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="100,400,1000,3000,8000", help="transactions a second, with commas")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--follow", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.follow:
        uvloop.run(follow(arguments.follow))
        return
    with tempfile.TemporaryDirectory() as directory, start_etcd(Path(directory), fsync=True) as etcd:
        rows = uvloop.run(measure(etcd, [float(rate) for rate in arguments.rates.split(",")]))
    for row in rows:
        print(json.dumps(row) if arguments.json else "  ".join(f"{name} {value:,}" for name, value in row.items()))


if __name__ == "__main__":
    main()
