"""What a fleet costs etcd and its routers: a simulation, held against real clusters.

    python -m bench.scale.fleet [--nodes 2,4,8] [--routers 2] [--rate 100] [--json]

For each number of gateways: a real cluster (`homing up`: etcd with fsync, Redis, routers), `--moving` clients that come
and go at `--rate` a second, then a storm, in which `--idle` others lose their connections at once and come back. etcd's
metrics, the routers' sockets and the kernel count what that costs. Then the same load, as the clients measured it, goes
through `bench.scale.simulated_fleet`, whose etcd has the latencies that a probe found in the real one before the run.

The two agree when every count is within 15 % of the measured one; else the exit status is 1. Of keepalives and reads,
which each process repeats every 3 s, one period more or less is allowed too. CPU is shown, and not judged: it depends
on what else the machine does. Three sizes take about three minutes.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from bench.cluster.limits import check_file_limit
from bench.scale.agreement import MEASURES, Comparison, compare, with_cpu
from bench.scale.costs import CPU
from bench.scale.fleet_load import FleetSize, SteadyLoad, StormLoad
from bench.scale.measured_fleet import measure
from bench.scale.simulated_fleet import simulate

WAITING = 50  # users that wait while others are connected: they decouple connects from disconnects


def rows(size: FleetSize, loads: list[SteadyLoad | StormLoad]) -> Iterator[dict[str, Any]]:
    """Measure one fleet, simulate it, and compare: a row for each load."""
    measured = measure(size, loads)
    predicted = simulate(size, [phase.load for phase in measured.phases], measured.etcd)
    for phase, costs in zip(measured.phases, predicted, strict=True):
        yield {
            "nodes": size.nodes,
            "routers": size.routers,
            "phase": "steady" if isinstance(phase.load, SteadyLoad) else "storm",
            "load": msgspec.to_builtins(phase.load),
            "etcd": msgspec.to_builtins(measured.etcd),
            "keys_per_batch": [_keys_per_batch(costs), _keys_per_batch(phase.costs)],
            "wait_ms": [costs["wait_p50_ms"], costs["wait_p99_ms"]],
            "comparisons": list(compare(with_cpu(costs, size.routers, CPU), phase.costs, size.nodes + size.routers)),
        }


def _keys_per_batch(costs: dict[str, float]) -> float:
    keys = costs["keys_put"] + costs["keys_deleted"] - costs["batches"]  # each batch puts its guard
    return round(keys / costs["batches"], 1)


def render(row: dict[str, Any]) -> str:
    """A row as a table."""
    load = ", ".join(f"{name} {value:,.5g}" for name, value in row["load"].items())
    lines = [f"{row['nodes']} gateways, {row['routers']} routers, {row['phase']}: {load}"]
    lines.append(f"  {'a second':55} {'predicted':>12} {'measured':>12} {'ratio':>6}")
    for one in row["comparisons"]:
        mark = {True: "", False: "  <- does not agree", None: "  (not judged)"}[one.agrees]
        figures = f"{one.predicted:12,.3f} {one.measured:12,.3f} {one.ratio:6.2f}"
        lines.append(f"  {MEASURES[one.measure]:55} {figures}{mark}")
    predicted, measured = row["keys_per_batch"]
    lines.append(f"  {'keys a batch':55} {predicted:12,.1f} {measured:12,.1f}")
    return "\n".join(lines)


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    def figures(one: Comparison) -> dict[str, Any]:
        found = {"predicted": one.predicted, "measured": one.measured, "ratio": one.ratio}
        return {name: float(f"{value:.4g}") for name, value in found.items()} | {"agrees": one.agrees}

    return row | {"comparisons": {one.measure: figures(one) for one in row["comparisons"]}}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="2,4,8", help="gateways, with commas")
    parser.add_argument("--routers", type=int, default=2)
    parser.add_argument("--moving", type=int, default=1000, help="clients that come and go")
    parser.add_argument("--idle", type=int, default=1500, help="clients that the storm drops")
    parser.add_argument("--rate", type=float, default=100.0, help="connects, and as many disconnects, a second")
    parser.add_argument("--storm-rate", type=float, default=250.0, help="connects a second after the drop")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the steady load")
    parser.add_argument("--json", action="store_true", help="a JSON object for each row")
    arguments = parser.parse_args()
    sizes = [int(number) for number in arguments.nodes.split(",")]
    check_file_limit(arguments.moving + arguments.idle, 1)
    storm_seconds = arguments.idle / arguments.storm_rate + 1.0
    loads: list[SteadyLoad | StormLoad] = [
        SteadyLoad(arguments.rate, arguments.rate, arguments.seconds, WAITING),
        StormLoad(arguments.idle, arguments.storm_rate, storm_seconds),
    ]
    agreed = True
    for nodes in sizes:
        for row in rows(FleetSize(nodes, arguments.routers, arguments.idle, arguments.moving), loads):
            print(json.dumps(_as_json(row)) if arguments.json else render(row), flush=True)
            agreed = agreed and all(one.agrees is not False for one in row["comparisons"])
    sys.exit(0 if agreed else 1)


if __name__ == "__main__":
    main()
