"""One router's table with many sessions, over a real etcd: memory, time to load, how long its loop is held, CPU.

    python -m bench.scale.table [--sessions 1000000] [--nodes 20] [--events 50000] [--json]

Writes the sessions into an etcd of its own (in a temporary directory, without fsync), then measures a process that does
nothing but follow them, as a router does: the first load; a second snapshot that replaces the first, as after a
compaction; and watch events at 2,000 a second, sessions that come and go. A million sessions take about three minutes
and 6 GB. *held* is the longest CPU time in which the process's event loop served nobody.
"""

import argparse
import asyncio
import gc
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.cluster.process_usage import cpu_seconds
from bench.scale.routes import SyntheticRoutes
from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.feed import StoreRouteFeed
from registry.ports import RegistrySettings
from registry.store import Compacted, Delete, Put
from runtime.process import ready
from tests.support.servers import Server, start_etcd

CLUSTER = "scale"
WRITERS = 8  # transactions at once
EVENT_RATE = 2_000.0  # a second
EVENT_BATCH = 40  # changes in one transaction
QUOTA = 8 * 1024**3  # bytes of etcd's database


class HeldLoop:
    """The longest CPU time between two steps of a task: wall time would count what other processes take."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0.001)  # a busy loop would be most of the CPU that is measured
            now = time.thread_time()
            self._longest, before = max(self._longest, now - before), now

    def take_ms(self) -> float:
        """Milliseconds, since the last call."""
        longest, self._longest = self._longest, 0.0
        return round(longest * 1000, 1)

    def stop(self) -> None:
        self._task.cancel()


def rss_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def write(store: EtcdStore, routes: SyntheticRoutes, sessions: int) -> None:
    """Write all sessions, several transactions at once; progress on stderr."""
    await store.transaction([], routes.node_puts())
    batches, written = routes.batches(0, sessions), 0

    async def writer() -> None:
        nonlocal written
        for batch in batches:
            await store.transaction([], batch)
            written += len(batch)
            if written % 100_000 < len(batch):
                print(f"{written:,} keys are written", file=sys.stderr, flush=True)

    await asyncio.gather(*(writer() for _ in range(WRITERS)))


async def write_events(store: EtcdStore, routes: SyntheticRoutes, sessions: int, events: int) -> None:
    """Sessions come and go at a constant rate."""
    began = time.perf_counter()
    for number in range(0, events, EVENT_BATCH):
        puts = [routes.session_put(sessions + number + one) for one in range(EVENT_BATCH // 2)]
        guard = Put(routes.keys.batch(routes.incarnations[0].node), b"%d" % (number + 1))
        await store.transaction([], [*puts, guard])
        await store.transaction([], [Delete(put.key) for put in puts])
        await asyncio.sleep(max(0.0, began + (number + EVENT_BATCH) / EVENT_RATE - time.perf_counter()))


async def follow(endpoint: str, sessions: int, events: int) -> None:
    """The follower, in a process of its own: prints one JSON object."""
    feed = StoreRouteFeed(EtcdStore(EtcdSettings(endpoints=(endpoint,))), RegistrySettings(cluster=CLUSTER))
    gc.collect()
    before, held, began, cpu = rss_bytes(), HeldLoop(), time.perf_counter(), time.process_time()
    running = asyncio.ensure_future(feed.run())
    await feed.wait_synced()
    figures: dict[str, Any] = {"sessions": len(feed.table), "load_s": round(time.perf_counter() - began, 1)}
    figures |= {"load_cpu_s": round(time.process_time() - cpu, 1), "load_held_ms": held.take_ms()}
    ready.notify_ready(ready="follower")  # collects and freezes, as a router does when it is ready
    held.take_ms()
    figures["bytes_per_session"] = round((rss_bytes() - before) / sessions)
    began, cpu = time.perf_counter(), time.process_time()
    await _wait_watching(feed)
    feed._interrupt(Compacted(0))  # as after a compaction
    while not feed.resyncs:
        await asyncio.sleep(0.01)
    await _wait_watching(feed)
    figures |= {"resync_s": round(time.perf_counter() - began, 1), "resync_held_ms": held.take_ms()}
    figures |= {"resync_cpu_s": round(time.process_time() - cpu, 1)}
    figures["peak_bytes_per_session"] = round((_peak_bytes() - before) / sessions)
    held.stop()  # it spins
    print(json.dumps({"ready": "for events"}), flush=True)
    revision, cpu, seen = feed.table.revision, time.process_time(), len(feed.table)
    reader = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await reader  # the writer has written all events
    assert await feed.wait_caught_up()
    figures["event_cpu_us"] = round((time.process_time() - cpu) / events * 1e6, 1)
    assert feed.table.revision > revision
    assert len(feed.table) - seen <= EVENT_BATCH
    print(json.dumps(figures), flush=True)
    running.cancel()


async def _wait_watching(feed: StoreRouteFeed) -> None:
    while feed._interrupted is None:
        await asyncio.sleep(0.01)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def measure(etcd: Server, sessions: int, nodes: int, events: int) -> dict[str, Any]:
    """Write, then measure a follower."""
    routes, store = SyntheticRoutes(CLUSTER, nodes), EtcdStore(EtcdSettings(endpoints=(etcd.endpoint,)))
    began, cpu = time.perf_counter(), cpu_seconds(etcd.process.pid)
    await write(store, routes, sessions)
    figures = {"etcd_write_s": round(time.perf_counter() - began, 1)}
    figures["etcd_cpu_us_per_key"] = round((cpu_seconds(etcd.process.pid) - cpu) / sessions * 1e6, 1)
    figures["etcd_bytes_per_session"] = round(_rss_of(etcd.process.pid) / sessions)
    pipe = asyncio.subprocess.PIPE
    arguments = ("--follow", etcd.endpoint, "--sessions", str(sessions), "--events", str(events))
    command = (sys.executable, "-m", "bench.scale.table", *arguments)
    follower = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert follower.stdout is not None
    while json.loads(await follower.stdout.readline()).get("ready") != "for events":
        pass
    await write_events(store, routes, sessions, events)
    out, _ = await follower.communicate(b"written\n")
    await store.close()
    found: dict[str, Any] = json.loads(out)
    return figures | found


def _rss_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--follow", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.follow:
        uvloop.run(follow(arguments.follow, arguments.sessions, arguments.events))
        return
    with (
        tempfile.TemporaryDirectory() as directory,
        start_etcd(Path(directory), "--quota-backend-bytes", str(QUOTA)) as etcd,
    ):
        figures = uvloop.run(measure(etcd, arguments.sessions, arguments.nodes, arguments.events))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value:>12,}")


if __name__ == "__main__":
    main()
