"""`make bench`: have the ratios become worse? `python -m bench.cluster.short [--record] [--rounds N] [--against FILE]`.

What a machine takes for an operation says little on another, or on the same one an hour later. So each figure is CPU
divided by that of a bare floor which does the least of the same job in the same minute. Of several rounds the least
of either counts; worse than the recorded ratio by more than the margin fails.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cluster import limits, rig
from bench.cluster.connections import connects
from bench.cluster.echo import echo
from bench.cluster.fanout import fanout
from bench.cluster.unicast import unicast
from homing.cluster.trouble import CommandError

MARGIN = 1.5  # times the recorded ratio; floors of the very same loop differ by a half from hour to hour
ROUNDS = 3
GATEWAYS = 2
FILE = Path("bench/ratios.json")
Ratios = dict[str, float]
Costs = dict[str, list[tuple[float, float]]]
"""By scenario, of each round: microseconds of ours, and of the bare floor."""


def measure_echo(cluster: rig.Cluster) -> tuple[float, float]:
    """A ping and its pong, gateway to a bare echo."""
    told = echo(cluster, 2.0)
    return told["cpu_us"]["gateways"], told["floor_us"]


def measure_fanout(cluster: rig.Cluster) -> tuple[float, float]:
    """A delivered message of a push to 500 viewers, gateways to a bare loop of send()."""
    told = fanout(cluster, 500, 10, 3.0)
    return told["cpu_us"]["gateways"], told["floor_us"]


def measure_unicast(cluster: rig.Cluster) -> tuple[float, float]:
    """A push to one user through PushStream, router, gateways and etcd to two bare relays."""
    told = unicast(cluster, 200, 500, 3.0, unary=False)
    return told["cluster_us"], told["floor_us"]


def measure_connect(cluster: rig.Cluster) -> tuple[float, float]:
    """A connect with its registration, gateways to a bare server that answers a head."""
    told = connects(cluster, 1000)
    return told["cpu_us"]["gateways"], told["floor_us"]


SCENARIOS: dict[str, Callable[[rig.Cluster], tuple[float, float]]] = {
    "echo": measure_echo,
    "fanout": measure_fanout,
    "unicast": measure_unicast,
    "connect": measure_connect,
}


def measure(rounds: int) -> Costs:
    """The costs of each round, on one cluster."""
    found: Costs = {name: [] for name in SCENARIOS}
    with rig.cluster(GATEWAYS) as cluster:
        for turn in range(rounds):
            for name, scenario in SCENARIOS.items():
                found[name].append(scenario(cluster))
                ours, floor = found[name][-1]
                print(f"  round {turn + 1} of {rounds}: {name} {ours} us, floor {floor} us", file=sys.stderr)
    return found


def best_of(found: Costs) -> Ratios:
    """The least of ours to the least of the floor, each in the round that was disturbed least."""
    return {
        name: round(min(ours for ours, _ in rounds) / min(floor for _, floor in rounds), 2)
        for name, rounds in found.items()
    }


def judge(best: Ratios, recorded: Ratios, margin: float) -> list[str]:
    """The scenarios that have become worse by more than the margin."""
    return [name for name, ratio in best.items() if name in recorded and ratio > recorded[name] * margin]


def table(found: Costs, recorded: Ratios, margin: float) -> str:
    """For people."""
    lines = [f"{'':10}{'ratio':>8}{'recorded':>10}{'allowed':>9}  us, ours / floor, of each round"]
    best = best_of(found)
    for name, rounds in found.items():
        known = recorded.get(name)
        told = f"{known:10.2f}{known * margin:9.2f}" if known else f"{'-':>10}{'-':>9}"
        verdict = "  WORSE" if known and best[name] > known * margin else ""
        each = ", ".join(f"{ours:.0f} / {floor:.0f}" for ours, floor in rounds)
        lines.append(f"{name:10}{best[name]:8.2f}{told}  {each}{verdict}")
    return "\n".join(lines)


def record(file: Path, best: Ratios) -> None:
    """Write the file that later runs are compared with."""
    made_on = f"{os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    told: dict[str, Any] = {"margin": MARGIN, "ratios": best, "recorded": made_on}
    file.write_text(json.dumps(told, indent=2) + "\n")


def main() -> int:
    """The exit status: 1 when something has become worse, or could not be measured."""
    parser = argparse.ArgumentParser(prog="bench.cluster.short", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the file instead of comparing with it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--against", type=Path, default=FILE)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        told = {} if asked.record else json.loads(asked.against.read_text())
        limits.raise_soft_limit()
        found = measure(asked.rounds)
    except FileNotFoundError:
        print(f"{asked.against} does not exist; --record makes it", file=sys.stderr)
        return 1
    except CommandError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    best = best_of(found)
    recorded, margin = told.get("ratios", {}), told.get("margin", MARGIN)
    worse = judge(best, recorded, margin)
    out = {"best": best, "recorded": recorded, "margin": margin, "worse": worse}
    print(json.dumps(out) if asked.json else table(found, recorded, margin))
    if asked.record:
        record(asked.against, best)
    if worse:
        print(f"worse than recorded by more than {margin} times: {', '.join(worse)}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
