"""Shared by the scenarios of `homing bench`: their options, their runs, and the output of their figures."""

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.cluster.scenario import Figures
from homing.command import options

if TYPE_CHECKING:
    from bench.cluster.bench_cluster import BenchCluster

F = TypeVar("F", bound=Callable[..., Any])
Scenarios = dict[str, Callable[["BenchCluster"], Figures]]


def size_options(clients: int, gateways: int, rate: float = 0.0, seconds: float = 8.0) -> Callable[[F], F]:
    """--clients, --gateways, --rate and --seconds, with these defaults; 0: without the option."""
    decorators = [
        _option("--clients", click.IntRange(1, 100_000), clients, "Connections."),
        _option("--gateways", click.IntRange(1, 64), gateways, "Number of gateways."),
        *([_option("--rate", click.FloatRange(1, 100_000), rate, "Pushes a second.")] if rate else []),
        *([_option("--seconds", click.FloatRange(1, 600), seconds, "Duration of the load.")] if seconds else []),
        options.as_json,
    ]

    def decorate(function: F) -> F:
        return functools.reduce(lambda decorated, option: option(decorated), reversed(decorators), function)

    return decorate


def _option(name: str, kind: click.ParamType[Any], default: float, text: str) -> Callable[[F], F]:
    return click.option(name, type=kind, default=default, show_default=True, metavar="N", help=text)


def report_progress(line: str) -> None:
    """Print a line of progress to stderr."""
    click.echo(line, err=True)


def tls_option(function: F) -> F:
    """--tls: clients speak TLS, with a certificate made for the run."""
    return click.option("--tls", is_flag=True, help="Clients speak TLS.")(function)


def run(
    scenarios: Scenarios, clients: int, gateways: int, as_json: bool, settings: str = "", tls: bool = False
) -> None:
    """Run each scenario on a cluster of its own, and print the figures."""
    from bench.cluster import limits
    from bench.cluster.bench_cluster import start_cluster

    limits.check_file_limit(clients, gateways)
    figures = {}
    for name, scenario in scenarios.items():
        report_progress(f"{name}{', TLS' if tls else ''}: {clients} clients, {gateways} gateways ...")
        with start_cluster(gateways, settings=settings, tls=tls) as cluster:
            figures[name] = {"clients": clients, "gateways": gateways, **scenario(cluster)}
    print_figures(figures, as_json)


def print_figures(figures: dict[str, Figures], as_json: bool) -> None:
    """Print the figures of each scenario, as JSON or in words."""
    click.echo(json.dumps(figures) if as_json else describe_all(figures))


def describe_all(figures: dict[str, Figures]) -> str:
    """The figures of each scenario in words, and below them the meaning of the counts of pushes that they have."""
    from bench.cluster.load.outcomes import legend

    words = legend(key for result in figures.values() for key in result)
    return "\n".join([*(describe(name, result) for name, result in figures.items()), *words])


def describe(name: str, figures: Figures) -> str:
    """One scenario's figures in words."""
    lines = [f"{name}: {figures['clients']} clients, {figures['gateways']} gateways"]
    if figures.get("valid") is False:
        lines.append("  INVALID: the load generator fell behind, or something was lost")
    for key, value in figures.items():
        if key.startswith(("cpu_us", "resumed_cpu_us")):
            shares = ", ".join(f"{kind} {us}" for kind, us in value.items())
            operation = "connect" if key.endswith("connect") else "operation"
            lines.append(f"  CPU us per {operation}{', resumed' * key.startswith('resumed')}: {shares}")
        elif isinstance(value, dict):
            lines.append(f"  {key}: {', '.join(f'{kind} {item}' for kind, item in value.items()) or 'none'}")
        elif key not in ("clients", "gateways", "valid"):
            lines.append(f"  {key}: {value}")
    return "\n".join(lines)
