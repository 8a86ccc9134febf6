"""What the scenarios of `homing bench` share: their options, how they are run, how their figures are shown."""

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from homing.command import options

if TYPE_CHECKING:
    from bench.cluster.rig import Cluster

F = TypeVar("F", bound=Callable[..., Any])
Figures = dict[str, Any]
Runs = dict[str, Callable[["Cluster"], Figures]]


def sized(clients: int, gateways: int, rate: float = 0.0, seconds: float = 8.0) -> Callable[[F], F]:
    """--clients, --gateways, --rate and --seconds (unless 0), with these defaults."""
    listed = [
        click.option(
            "--clients",
            type=click.IntRange(1, 100_000),
            default=clients,
            show_default=True,
            metavar="N",
            help="Connections.",
        ),
        click.option(
            "--gateways",
            type=click.IntRange(1, 64),
            default=gateways,
            show_default=True,
            metavar="N",
            help="How many gateways.",
        ),
        options.as_json,
    ]
    if seconds:
        asked = click.FloatRange(1, 600)
        listed.insert(
            2,
            click.option(
                "--seconds", type=asked, default=seconds, show_default=True, metavar="N", help="How long it runs."
            ),
        )
    if rate:
        asked = click.FloatRange(1, 100_000)
        listed.insert(
            2, click.option("--rate", type=asked, default=rate, show_default=True, metavar="N", help="Pushes a second.")
        )

    def decorate(function: F) -> F:
        return functools.reduce(lambda made, option: option(made), reversed(listed), function)

    return decorate


def say(line: str) -> None:
    """Progress."""
    click.echo(line, err=True)


def run(runs: Runs, clients: int, gateways: int, as_json: bool, settings: str = "") -> None:
    """Each on a cluster of its own."""
    from bench.cluster import limits, rig

    limits.judge(clients, gateways)
    figures = {}
    for name, work in runs.items():
        say(f"{name}: {clients} clients, {gateways} gateways ...")
        with rig.cluster(gateways, settings=settings) as cluster:
            figures[name] = {"clients": clients, "gateways": gateways, **work(cluster)}
    show(figures, as_json)


def show(figures: dict[str, Figures], as_json: bool) -> None:
    """The figures of each run, for programs or in words."""
    click.echo(json.dumps(figures) if as_json else "\n".join(describe(name, told) for name, told in figures.items()))


def describe(name: str, told: Figures) -> str:
    """One run's figures in words."""
    lines = [f"{name}: {told['clients']} clients, {told['gateways']} gateways"]
    if told.get("valid") is False:
        lines.append("  INVALID: the generator fell behind, or something was lost")
    for key, value in told.items():
        if key.startswith("cpu_us"):
            shares = ", ".join(f"{kind} {us}" for kind, us in value.items())
            lines.append(f"  CPU us {'a connect' if key.endswith('connect') else 'an operation'}: {shares}")
        elif isinstance(value, dict):
            lines.append(f"  {key}: {', '.join(f'{kind} {one}' for kind, one in value.items()) or 'none'}")
        elif key not in ("clients", "gateways", "valid"):
            lines.append(f"  {key}: {value}")
    return "\n".join(lines)
