"""`make bench`: detects regressions. `python -m bench.cluster.ratio_check [--record] [--rounds N] [--against FILE]`.

The cost of an operation on one machine predicts nothing for another machine, or for the same machine an hour later. So
each figure is a ratio: CPU divided by that of a baseline, which does the least of the same job in the same minute. The
lowest cost of several rounds counts on either side. A ratio above the recorded one by more than the margin fails.
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

from bench.cluster import limits
from bench.cluster.bench_cluster import BenchCluster, start_cluster
from bench.cluster.connections import connects
from bench.cluster.echo import echo
from bench.cluster.fanout import fanout
from bench.cluster.unicast import unicast
from homing.cluster.errors import CommandError

MARGIN = 1.5  # times the recorded ratio; baselines of the same loop differ by a half from hour to hour
ROUNDS = 3
GATEWAYS = 2
RATIOS_FILE = Path("bench/ratios.json")
Ratios = dict[str, float]
Costs = dict[str, list[tuple[float, float]]]
"""By scenario, per round: microseconds of Homing, and of the baseline."""


def measure_echo(cluster: BenchCluster) -> tuple[float, float]:
    """A ping and its pong: gateway, and a baseline echo."""
    figures = echo(cluster, 2.0)
    return figures["cpu_us"]["gateways"], figures["baseline_us"]


def measure_fanout(cluster: BenchCluster) -> tuple[float, float]:
    """A delivered message of a push to 500 viewers: gateways, and a plain loop of send()."""
    figures = fanout(cluster, 500, 10, 3.0)
    return figures["cpu_us"]["gateways"], figures["baseline_us"]


def measure_unicast(cluster: BenchCluster) -> tuple[float, float]:
    """A push to one user through PushStream: router, gateways and etcd, and two baseline relays."""
    figures = unicast(cluster, 200, 500, 3.0, unary=False)
    return figures["cluster_us"], figures["baseline_us"]


def measure_connect(cluster: BenchCluster) -> tuple[float, float]:
    """A connect with its registration: gateways, and a baseline server that answers a handshake."""
    figures = connects(cluster, 1000)
    return figures["cpu_us"]["gateways"], figures["baseline_us"]


SCENARIOS: dict[str, Callable[[BenchCluster], tuple[float, float]]] = {
    "echo": measure_echo,
    "fanout": measure_fanout,
    "unicast": measure_unicast,
    "connect": measure_connect,
}


def measure(rounds: int) -> Costs:
    """The costs of each round, on one cluster."""
    costs: Costs = {name: [] for name in SCENARIOS}
    with start_cluster(GATEWAYS) as cluster:
        for number in range(1, rounds + 1):
            for name, scenario in SCENARIOS.items():
                homing_us, baseline_us = scenario(cluster)
                costs[name].append((homing_us, baseline_us))
                print(
                    f"  round {number} of {rounds}: {name} {homing_us} us, baseline {baseline_us} us", file=sys.stderr
                )
    return costs


def lowest_ratios(costs: Costs) -> Ratios:
    """The lowest cost of Homing to the lowest of the baseline, each from its least disturbed round."""
    return {
        name: round(min(homing for homing, _ in rounds) / min(baseline for _, baseline in rounds), 2)
        for name, rounds in costs.items()
    }


def regressions(ratios: Ratios, recorded: Ratios, margin: float) -> list[str]:
    """The scenarios whose ratio exceeds the recorded one by more than the margin."""
    return [name for name, ratio in ratios.items() if name in recorded and ratio > recorded[name] * margin]


def table(costs: Costs, recorded: Ratios, margin: float) -> str:
    """The result as a table."""
    lines = [f"{'':10}{'ratio':>8}{'recorded':>10}{'allowed':>9}  us, homing / baseline, per round"]
    ratios = lowest_ratios(costs)
    for name, rounds in costs.items():
        known = recorded.get(name)
        limits_text = f"{known:10.2f}{known * margin:9.2f}" if known else f"{'-':>10}{'-':>9}"
        verdict = "  WORSE" if known and ratios[name] > known * margin else ""
        each = ", ".join(f"{homing:.0f} / {baseline:.0f}" for homing, baseline in rounds)
        lines.append(f"{name:10}{ratios[name]:8.2f}{limits_text}  {each}{verdict}")
    return "\n".join(lines)


def record(file: Path, ratios: Ratios) -> None:
    """Write the file that later runs compare with."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    content: dict[str, Any] = {"margin": MARGIN, "ratios": ratios, "recorded": machine}
    file.write_text(json.dumps(content, indent=2) + "\n")


def main() -> int:
    """Returns the exit status: 1 after a regression or a failed measurement."""
    parser = argparse.ArgumentParser(prog="bench.cluster.ratio_check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the file instead of comparing with it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--against", type=Path, default=RATIOS_FILE)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        content = {} if arguments.record else json.loads(arguments.against.read_text())
        limits.raise_soft_limit()
        costs = measure(arguments.rounds)
    except FileNotFoundError:
        print(f"{arguments.against} does not exist; --record writes it", file=sys.stderr)
        return 1
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    ratios = lowest_ratios(costs)
    recorded, margin = content.get("ratios", {}), content.get("margin", MARGIN)
    worse = regressions(ratios, recorded, margin)
    result = {"ratios": ratios, "recorded": recorded, "margin": margin, "worse": worse}
    print(json.dumps(result) if arguments.json else table(costs, recorded, margin))
    if arguments.record:
        record(arguments.against, ratios)
    if worse:
        print(f"worse than recorded by more than {margin} times: {', '.join(worse)}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
