"""What a registration costs: sessions through the real registrar, its batcher and a real etcd.

    python -m bench.micro.registration [--sessions N] [--rate N] [--etcd HOST:PORT] [--json]

Two rows. *flood*: all sessions at once, which is a reconnect storm; the figure of interest is keys a second. *steady*:
arrivals and departures at a fixed rate, open loop; the figure of interest is CPU per key in this process (registrar,
batcher, gRPC) and in etcd, and how long a client waits for its commit. Without --etcd one is started from the wheel,
with fsync, in a temporary directory.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.model import Node, SessionInfo
from registry.ports import RegistrySettings
from registry.registrar import StoreRegistrar, wall_ms
from tests.support.servers import start_etcd

TICK = 0.001  # seconds between two groups of arrivals of the steady row


class Meter:
    """CPU and wall time between two moments, here and in one other process."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._from = (time.perf_counter(), time.process_time(), self._other())

    def _other(self) -> float:
        if self._pid is None:
            return 0.0
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def row(self, keys: int) -> dict[str, float]:
        wall, cpu, other = (time.perf_counter(), time.process_time(), self._other())
        row = {
            "keys": keys,
            "keys_per_second": round(keys / (wall - self._from[0])),
            "cpu_us_per_key": round((cpu - self._from[1]) / keys * 1e6, 1),
        }
        if self._pid is not None:
            row["etcd_cpu_us_per_key"] = round((other - self._from[2]) / keys * 1e6, 1)
        return row


async def flood(registrar: StoreRegistrar, sessions: int, pid: int | None) -> dict[str, float]:
    """Everybody comes at once, then everybody leaves at once."""
    info = SessionInfo("/", "bench", wall_ms())
    before, meter = registrar.batches, Meter(pid)
    await asyncio.gather(*(registrar.register_session(f"user-{sid % 5000}", sid, info) for sid in range(sessions)))
    row = meter.row(sessions)
    row["keys_per_batch"] = round(sessions / (registrar.batches - before), 1)
    for sid in range(sessions):
        registrar.unregister_session(f"user-{sid % 5000}", sid)
    await registrar.register_file("after the last leave")
    registrar.unregister_file("after the last leave")
    return row


async def steady(registrar: StoreRegistrar, rate: int, seconds: float, pid: int | None) -> dict[str, float]:
    """`rate` connects and as many disconnects a second; a session stays for one second."""
    info = SessionInfo("/", "bench", wall_ms())
    waits: list[float] = []
    before, meter = registrar.batches, Meter(pid)
    start, came, left = time.perf_counter(), 0, 0

    def note(begun: float, _: object) -> None:
        waits.append(time.perf_counter() - begun)

    while (now := time.perf_counter() - start) < seconds:
        while came < now * rate:
            begun = time.perf_counter()
            registrar.register_session(f"user-{came % 5000}", came, info).add_done_callback(partial(note, begun))
            came += 1
        while left < (now - 1) * rate:
            registrar.unregister_session(f"user-{left % 5000}", left)
            left += 1
        await asyncio.sleep(TICK)
    row = meter.row(came + left)
    waits.sort()
    row |= {
        "keys_per_batch": round((came + left) / (registrar.batches - before), 1),
        "wait_p50_ms": round(waits[len(waits) // 2] * 1000, 2),
        "wait_p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 2),
    }
    return row


async def measure(endpoint: str, pid: int | None, sessions: int, rate: int) -> dict[str, Any]:
    """Both rows on one registrar."""
    store = EtcdStore(EtcdSettings(endpoints=(endpoint,)))
    settings = RegistrySettings(cluster=f"bench-{time.time_ns()}")
    registrar = StoreRegistrar(store, settings, "bench", lambda m: Node("ws://-", "-", "-", m, "bench"))
    await registrar.begin()
    run = asyncio.ensure_future(registrar.run())
    try:
        rows = {"flood": await flood(registrar, sessions, pid), "steady": await steady(registrar, rate, 6.0, pid)}
    finally:
        await registrar.end()
        await run
        await store.close()
    return rows


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--rate", type=int, default=1_250, help="connects, and as many disconnects, a second")
    parser.add_argument("--etcd", help="HOST:PORT of a running etcd")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with ExitStack() as stack:
        endpoint, pid = args.etcd, None
        if endpoint is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = stack.enter_context(start_etcd(Path(folder), fsync=True))
            endpoint, pid = server.endpoint, server.pid
        rows = uvloop.run(measure(endpoint, pid, args.sessions, args.rate))
    if args.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(f"{name:7}", "  ".join(f"{key}={value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
