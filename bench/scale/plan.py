"""How a fleet of many connections is cut into clusters: the simulation's figures for one cluster of each cut.

    python -m bench.scale.plan [--connections 10000000] [--clusters 1,2,4,8] [--json]

For each number of clusters: the steady load of sessions that stay for half an hour, and a storm in which a tenth of
all clients come back within a minute, through `bench.scale.simulated_fleet`. Assumed: an etcd of three members that
answers in 4 ms, and applies 10,000 small transactions a second. Memory, load times and CPU are the measured ones of
docs/scale.md for each session, event and message. One router is simulated, since all do the same; a storm's first
seconds stand for all of it.
"""

import argparse
import json
import math
from typing import Any

import msgspec

from bench.scale.agreement import with_cpu
from bench.scale.costs import CPU
from bench.scale.fleet_load import Costs, EtcdCosts, FleetSize, SteadyLoad
from bench.scale.simulated_fleet import simulate

PER_GATEWAY = 40_000  # connections
PER_ROUTER = 1_000_000  # connections of the whole fleet for each router that calls need
STAY = 1800.0  # seconds of a session
STORM_SHARE, STORM_SECONDS = 0.1, 60.0  # of all clients come back, within
ROUTER_BYTES, ETCD_BYTES = 454, 911  # of a session (bench.scale.table)
LOAD_CPU, LOAD_WALL = 8.3e-6, 23e-6  # seconds a session
ETCD_LIMIT = 8e9  # bytes: etcd's own
ETCD = EtcdCosts(read=0.001, transaction=0.004, key=8e-6, serial_transaction=0.0001, serial_key=14e-6)
SIMULATED = 4.0  # seconds of each load


class Cut(msgspec.Struct, frozen=True):
    """One cluster of a fleet that is cut into several."""

    clusters: int
    connections: int  # of this cluster
    gateways: int
    routers: int

    @property
    def changes_per_s(self) -> float:
        """Connects a second in the steady state, and as many disconnects."""
        return self.connections / STAY

    @property
    def storm_per_s(self) -> float:
        """Connects a second in the storm, beside the steady state's."""
        return self.connections * STORM_SHARE / STORM_SECONDS


def cut(connections: int, clusters: int) -> Cut:
    """Evenly: at least two routers a cluster."""
    here = math.ceil(connections / clusters)
    return Cut(clusters, here, math.ceil(here / PER_GATEWAY), max(2, math.ceil(here / PER_ROUTER)))


def figures(one: Cut, steady: Costs, storm: Costs) -> dict[str, Any]:
    """The row of a cut, from a simulation with one router."""
    row: dict[str, Any] = {
        "clusters": one.clusters,
        "connections": one.connections,
        "gateways": one.gateways,
        "routers": one.routers,
        "streams": one.gateways * one.routers,
        "router_gb": round(one.connections * ROUTER_BYTES / 1e9, 2),
        "etcd_gb": round(one.connections * ETCD_BYTES / 1e9, 2),
        "load_cpu_s": round(one.connections * LOAD_CPU, 1),
        "load_s": round(one.connections * LOAD_WALL),
    }
    for name, costs in (("steady", steady), ("storm", storm)):
        whole = with_cpu(with_routers(costs, one.routers), one.routers, CPU)
        seconds = costs["seconds"]
        keys = costs["keys_put"] + costs["keys_deleted"]
        row[name] = {
            "keys_per_s": round((keys - costs["batches"]) / seconds),
            "transactions_per_s": round(costs["transactions"] / seconds),
            "keys_per_batch": round((keys - costs["batches"]) / costs["batches"], 1),
            "events_per_s_and_router": round(costs["watch_events"] / seconds),
            "router_cores": round(whole["router_cpu"] / seconds, 2),
            "etcd_cores": round(whole["etcd_cpu"] / seconds, 2),
            "etcd_mb_per_s": round((whole["bytes_sent"] + whole["bytes_received"]) / seconds / 1e6, 1),
            "wait_p50_ms": costs["wait_p50_ms"],
            "wait_p99_ms": costs["wait_p99_ms"],
        }
    return row


def with_routers(costs: Costs, routers: int) -> Costs:
    """The costs of a fleet with so many routers, from those with one: each has a watch, and streams, of its own."""
    shown = {name: costs[name] * routers for name in ("watch_messages", "watch_events", "streams")}
    watch_bytes = costs["watch_bytes"]
    return costs | shown | {"bytes_sent": costs["bytes_sent"] + (routers - 1) * watch_bytes}


def breaks(row: dict[str, Any]) -> list[str]:
    """What is over its limit in this cut, worst first."""
    limits = {
        "etcd's size": row["etcd_gb"] * 1e9 / ETCD_LIMIT,
        "a router's core in a storm": row["storm"]["router_cores"],
        "a router's core": row["steady"]["router_cores"],
        "etcd's transactions in a storm": row["storm"]["wait_p99_ms"] / 3000,
    }
    over = sorted(((share, name) for name, share in limits.items() if share >= 1.0), reverse=True)
    return [f"{name} ({share:.0%})" for share, name in over]


def plan(connections: int, clusters: int) -> dict[str, Any]:
    """Simulate one cluster of this cut."""
    one = cut(connections, clusters)
    moving = round(one.changes_per_s * SIMULATED * 2)
    back = round(one.storm_per_s * SIMULATED)
    steady_load = SteadyLoad(one.changes_per_s, one.changes_per_s, SIMULATED, 100)
    storm_load = SteadyLoad(one.storm_per_s + one.changes_per_s, one.changes_per_s, SIMULATED, back)
    size = FleetSize(one.gateways, 1, 0, moving)
    [steady, storm] = simulate(size, [steady_load, storm_load], ETCD)
    row = figures(one, steady, storm)
    return row | {"breaks": breaks(row)}


def render(row: dict[str, Any]) -> str:
    """A row in some lines."""
    shape = (
        f"{row['clusters']} clusters of {row['connections']:,}: {row['gateways']} gateways, {row['routers']} routers"
    )
    sizes = (
        f"router {row['router_gb']} GB, etcd {row['etcd_gb']} GB, load {row['load_s']} s ({row['load_cpu_s']} s CPU)"
    )
    lines = [f"{shape}, {row['streams']} streams; {sizes}"]
    lines += [
        f"  {name:7}" + ", ".join(f"{key} {value:,}" for key, value in row[name].items())
        for name in ("steady", "storm")
    ]
    return "\n".join([*lines, f"  over the limit: {', '.join(row['breaks']) or 'nothing'}"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000_000)
    parser.add_argument("--clusters", default="1,2,4,8")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for clusters in arguments.clusters.split(","):
        row = plan(arguments.connections, int(clusters))
        print(json.dumps(row) if arguments.json else render(row), flush=True)


if __name__ == "__main__":
    main()
