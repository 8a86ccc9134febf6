"""The cost of a registration: sessions through the real registrar, its batcher and a real etcd.

    python -m bench.micro.registration [--sessions N] [--rate N] [--etcd HOST:PORT] [--json]

Two rows. *burst*: all sessions at once, as in a reconnect storm; its figure is keys per second. *steady*: connects and
disconnects at a fixed rate, open loop; its figures are the CPU per key in this process (registrar, batcher, gRPC) and
in etcd, and the time until a client's commit. Without --etcd an etcd from the wheel is started, with fsync, in a
temporary directory.
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
from registry.registration import StoreRegistration
from tests.support.servers import start_etcd

TICK = 0.001  # seconds between two groups of connects of the steady row


class CpuMeter:
    """CPU and wall time since its construction, of this process and of one other."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._start = (time.perf_counter(), time.process_time(), self._other_cpu())

    def _other_cpu(self) -> float:
        if self._pid is None:
            return 0.0
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def row(self, keys: int) -> dict[str, float]:
        """The figures for so many keys."""
        wall, cpu, other = (time.perf_counter(), time.process_time(), self._other_cpu())
        row = {
            "keys": keys,
            "keys_per_second": round(keys / (wall - self._start[0])),
            "cpu_us_per_key": round((cpu - self._start[1]) / keys * 1e6, 1),
        }
        if self._pid is not None:
            row["etcd_cpu_us_per_key"] = round((other - self._start[2]) / keys * 1e6, 1)
        return row


async def burst(registration: StoreRegistration, sessions: int, pid: int | None) -> dict[str, float]:
    """Register all sessions at once, then unregister all at once."""
    info = SessionInfo("/", "bench", wall_ms())
    before, meter = registration.last_committed_batch, CpuMeter(pid)
    await asyncio.gather(*(registration.register_session(f"user-{sid % 5000}", sid, info) for sid in range(sessions)))
    row = meter.row(sessions)
    row["keys_per_batch"] = round(sessions / (registration.last_committed_batch - before), 1)
    for sid in range(sessions):
        registration.unregister_session(f"user-{sid % 5000}", sid)
    await registration.register_file("after the last session")
    registration.unregister_file("after the last session")
    return row


async def steady(registration: StoreRegistration, rate: int, seconds: float, pid: int | None) -> dict[str, float]:
    """`rate` connects and as many disconnects a second; a session stays for one second."""
    info = SessionInfo("/", "bench", wall_ms())
    waits: list[float] = []
    before, meter = registration.last_committed_batch, CpuMeter(pid)
    start, connected, disconnected = time.perf_counter(), 0, 0

    def record_wait(started_at: float, _: object) -> None:
        waits.append(time.perf_counter() - started_at)

    while (now := time.perf_counter() - start) < seconds:
        while connected < now * rate:
            committed = registration.register_session(f"user-{connected % 5000}", connected, info)
            committed.add_done_callback(partial(record_wait, time.perf_counter()))
            connected += 1
        while disconnected < (now - 1) * rate:
            registration.unregister_session(f"user-{disconnected % 5000}", disconnected)
            disconnected += 1
        await asyncio.sleep(TICK)
    keys = connected + disconnected
    row = meter.row(keys)
    waits.sort()
    row |= {
        "keys_per_batch": round(keys / (registration.last_committed_batch - before), 1),
        "wait_p50_ms": round(waits[len(waits) // 2] * 1000, 2),
        "wait_p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 2),
    }
    return row


async def measure(endpoint: str, pid: int | None, sessions: int, rate: int) -> dict[str, Any]:
    """Both rows, on one registrar."""
    store = EtcdStore(EtcdSettings(endpoints=(endpoint,)))
    settings = RegistrySettings(cluster=f"bench-{time.time_ns()}")
    registrar = StoreRegistrar(store, settings, "bench", lambda m: Node("ws://-", "-", "-", m, "bench"))
    registration = await registrar.begin()
    run = asyncio.ensure_future(registration.run())
    try:
        rows = {"burst": await burst(registration, sessions, pid), "steady": await steady(registration, rate, 6.0, pid)}
    finally:
        await registration.end()
        await run
        await store.close()
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--rate", type=int, default=1_250, help="connects, and as many disconnects, a second")
    parser.add_argument("--etcd", help="HOST:PORT of a running etcd")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        endpoint, pid = arguments.etcd, None
        if endpoint is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = stack.enter_context(start_etcd(Path(folder), fsync=True))
            endpoint, pid = server.endpoint, server.pid
        rows = uvloop.run(measure(endpoint, pid, arguments.sessions, arguments.rate))
    if arguments.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(f"{name:7}", "  ".join(f"{key}={value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
