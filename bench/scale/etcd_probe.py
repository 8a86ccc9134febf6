"""What one etcd costs a client that is alone: the parameters of `bench.scale.modelled_etcd`."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from bench.cluster.process_usage import cpu_seconds
from bench.scale.fleet_load import EtcdCosts
from registry.batches import MAX_OPERATIONS
from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.store import Delete, Put

PREFIX = "/probe/"  # not below /homing/: no router watches it
REPEATS = 150


async def probe(endpoint: str, pid: int) -> EtcdCosts:
    """Measure the etcd with this pid: medians of calls one after the other, and CPU."""
    store = EtcdStore(EtcdSettings(endpoints=(endpoint,)))
    keys = [f"{PREFIX}sessions/user-{number}/{number}/node" for number in range(MAX_OPERATIONS)]
    small, large = [Put(key, b"v" * 60) for key in keys[:2]], [Put(key, b"v" * 60) for key in keys]
    try:
        read, _ = await _measure(pid, lambda: store.get(PREFIX))
        two, two_cpu = await _measure(pid, lambda: store.transaction([], small))
        full, full_cpu = await _measure(pid, lambda: store.transaction([], large))
        await store.transaction([], [Delete(key) for key in keys])
    finally:
        await store.close()
    more = MAX_OPERATIONS - 2
    key, key_cpu = max(0.0, full - two) / more, max(0.0, full_cpu - two_cpu) / more
    return EtcdCosts(read, max(0.0, two - 2 * key), key, max(0.0, two_cpu - 2 * key_cpu), key_cpu)


async def _measure(pid: int, call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Seconds of one call: the median by the wall clock, and the mean of etcd's CPU."""
    seconds, cpu = [], cpu_seconds(pid)
    for _ in range(REPEATS):
        began = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(0)
    return statistics.median(seconds), (cpu_seconds(pid) - cpu) / REPEATS
