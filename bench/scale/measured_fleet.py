"""A real fleet on this machine: etcd, gateways and routers as processes of their own, clients that come and go."""

import asyncio
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bench.cluster.bench_cluster import BenchCluster, start_cluster
from bench.cluster.load.client_pool import ClientPool, client_pool
from bench.scale.agreement import read_metrics
from bench.scale.etcd_probe import probe
from bench.scale.fleet_load import Costs, EtcdCosts, FleetSize, SteadyLoad, StormLoad
from homing.cluster import cluster_file
from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.keys import Keys
from registry.model import Node
from registry.ports import RegistrySettings

OPEN_RATE = 250.0  # connects a second before anything is counted
SETTLE = 2.0  # seconds between two phases
FASTER = 1.05  # a storm's clients are back this much later than planned at most
PER_SOCKET = re.compile(r"^\S+\s+\S+\s+\S+\s+\S+:(\d+)\s.*?pid=(\d+).*?data_segs_out:(\d+)", re.DOTALL | re.MULTILINE)


class MeasuredPhase(NamedTuple):
    """What a phase has cost, and the load that the clients have measured."""

    load: SteadyLoad | StormLoad
    costs: Costs


class MeasuredFleet(NamedTuple):
    """One run."""

    etcd: EtcdCosts
    phases: list[MeasuredPhase]


def measure(size: FleetSize, loads: Sequence[SteadyLoad | StormLoad]) -> MeasuredFleet:
    """Start a fleet, connect its clients, measure each load. CommandError: it did not start, or clients are refused."""
    with start_cluster(size.nodes, "--routers", str(size.routers)) as cluster:
        endpoint = cluster_file.read(cluster.run_dir).etcd[0]
        [pid] = cluster.pids["etcd"]
        etcd = asyncio.run(probe(endpoint, pid))
        with (
            client_pool(cluster.urls, cluster.key, size.idle, file_members=size.file_members) as idle,
            client_pool(cluster.urls, cluster.key, size.sessions, file_members=size.file_members) as moving,
        ):
            idle.open_all(size.idle, OPEN_RATE)
            moving.open_all(size.sessions, OPEN_RATE, first=size.idle)
            time.sleep(SETTLE)
            observer = FleetObserver(cluster, endpoint)
            phases = [
                _steady(size, load, observer, moving) if isinstance(load, SteadyLoad) else _storm(load, observer, idle)
                for load in loads
            ]
    return MeasuredFleet(etcd, phases)


def _steady(size: FleetSize, load: SteadyLoad, observer: "FleetObserver", pool: ClientPool) -> MeasuredPhase:
    rate = load.connects_per_s
    pool.churn(rate, spare=load.waiting, first=size.idle + size.sessions)
    before = observer.read(pool)
    time.sleep(load.seconds)
    costs = _difference(before, observer.read(pool))
    pool.halt()
    pool.churn(0.0)
    time.sleep(SETTLE)
    seconds = costs["seconds"]
    connects, disconnects = costs.pop("connects") / seconds, costs.pop("disconnects") / seconds
    return MeasuredPhase(SteadyLoad(connects, disconnects, seconds, load.waiting), costs)


def _storm(load: StormLoad, observer: "FleetObserver", pool: ClientPool) -> MeasuredPhase:
    dropped, connected = pool.counts().live, pool.counts().connected
    before, began = observer.read(pool), time.monotonic()
    pool.drop(True, load.connects_per_s)
    pool.wait(lambda counts: counts.connected - connected >= dropped, load.seconds * 3 + 30)
    took = time.monotonic() - began
    time.sleep(max(1.0, load.seconds - took))
    costs = _difference(before, observer.read(pool))
    time.sleep(SETTLE)
    rate = min(load.connects_per_s, dropped / (took / FASTER))
    return MeasuredPhase(StormLoad(dropped, rate, costs["seconds"]), costs)


def _difference(before: Costs, after: Costs) -> Costs:
    return {name: after[name] - before[name] for name in after}


class FleetObserver:
    """Reads what a fleet has cost since its start."""

    def __init__(self, cluster: BenchCluster, endpoint: str) -> None:
        self._cluster = cluster
        self._endpoint = endpoint
        self._routers = cluster.pids["routers"]
        self._node_ports = asyncio.run(_node_ports(endpoint))

    def read(self, pool: ClientPool) -> Costs:
        """All counts, under the names of `bench.scale.agreement.MEASURES`; `seconds`, the time of reading; and the
        `connects` and `disconnects` of these clients."""
        with urllib.request.urlopen(f"http://{self._endpoint}/metrics", timeout=5) as response:
            costs = read_metrics(response.read().decode())
        costs["seconds"], counts = time.monotonic(), pool.counts()
        costs |= {"connects": counts.connected, "disconnects": counts.closes["1000"]}
        cpu = self._cluster.cpu_seconds()
        costs |= {"router_cpu": cpu["routers"] / len(self._routers), "etcd_cpu": cpu["etcd"]}
        costs["batches"] = asyncio.run(_batches(self._endpoint))
        if shutil.which("ss"):  # else nothing counts what goes over the streams
            found = subprocess.run(
                ["ss", "-tinpHO", "state", "established"], capture_output=True, text=True, check=True
            )
            costs["stream_messages"] = float(sum_segments(found.stdout, self._routers, self._node_ports))
        return costs


def sum_segments(text: str, pids: Sequence[int], ports: Sequence[int]) -> int:
    """Of `ss -tinpHO`: the segments with data that these processes have sent to these ports, which on loopback are
    messages of a stream, since each is written alone."""
    total = 0
    for line in text.splitlines():
        found = PER_SOCKET.search(line)
        if found is not None and int(found[1]) in ports and int(found[2]) in pids:
            total += int(found[3])
    return total


async def _node_ports(endpoint: str) -> list[int]:
    """The gateways' ports for routers."""
    store, keys = EtcdStore(EtcdSettings(endpoints=(endpoint,))), Keys(RegistrySettings().cluster)
    nodes = await store.get_prefix(keys.node(""))
    await store.close()
    decoded = [msgspec.json.decode(entry.value, type=Node) for entry in nodes.entries]
    return [int(node.node_address.rpartition(":")[2]) for node in decoded]


async def _batches(endpoint: str) -> float:
    """Of all gateways, since their start."""
    store, keys = EtcdStore(EtcdSettings(endpoints=(endpoint,))), Keys(RegistrySettings().cluster)
    guards = await store.get_prefix(keys.batches)
    await store.close()
    return float(sum(int(entry.value) for entry in guards.entries))
