"""`homing bench`: what things cost here, beside a bare floor."""

import functools
import json
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from homing.cluster.trouble import Trouble
from homing.command import options

if TYPE_CHECKING:
    from homing.bench.rig import Cluster

F = TypeVar("F", bound=Callable[..., Any])
Figures = dict[str, Any]
Runs = dict[str, Callable[["Cluster"], Figures]]


class InOrder(click.Group):
    """Lists the scenarios from the small to the large."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, short_help="Measure what things cost here.")
def bench() -> None:
    """Start a cluster of its own, load it, and print CPU per operation, latency and memory.

    The small ones have a bare floor beside them, the least that the job takes on this machine. The load comes from
    processes of its own, whose CPU is told.

    \b
    Examples:
      homing bench unicast
      homing bench fanout --clients 5000 --rate 5 --json
      homing bench article --cores 1
    """
    try:
        import homing.bench.brokers  # noqa: F401  the one that needs the most packages
    except ImportError as error:
        raise Trouble(f"bench needs the whole of Homing: pip install 'homing[up]' ({error.name} is missing)") from None
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that an ended run still stops its cluster
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))


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
    from homing.bench import limits, rig

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


@bench.command(short_help="Memory a connection.")
@sized(2000, 1, seconds=0)
def idle(clients: int, gateways: int, as_json: bool) -> None:
    """Memory a connection, at rest and after one message of 64 KiB each way."""
    from homing.bench import connections

    run({"idle": lambda cluster: connections.idle(cluster, clients)}, clients, gateways, as_json)


@bench.command(short_help="CPU per connect.")
@sized(3000, 1, seconds=0)
def connect(clients: int, gateways: int, as_json: bool) -> None:
    """CPU per connect, registration included, as fast as they come."""
    from homing.bench import connections

    run({"connect": lambda cluster: connections.connects(cluster, clients)}, clients, gateways, as_json)


@bench.command(short_help="Pushes to one file.")
@sized(1000, 1, 20)
def fanout(clients: int, gateways: int, rate: float, seconds: float, as_json: bool) -> None:
    """Pushes to one file that everybody has joined."""
    from homing.bench import fanout as scenario

    run({"fanout": lambda cluster: scenario.fanout(cluster, clients, rate, seconds)}, clients, gateways, as_json)


@bench.command(short_help="Pushes to one user each.")
@sized(300, 3, 2000)
def unicast(clients: int, gateways: int, rate: float, seconds: float, as_json: bool) -> None:
    """Pushes to single users through PushStream, then one call each, then as fast as it goes."""
    from homing.bench import unicast as scenario

    runs: Runs = {
        "unicast, PushStream": lambda cluster: scenario.unicast(cluster, clients, rate, seconds, unary=False),
        "unicast, one call each": lambda cluster: scenario.unicast(cluster, clients, rate, seconds, unary=True),
        "unicast, as fast as it goes": lambda cluster: scenario.flood(cluster, clients, seconds),
    }
    run(runs, clients, gateways, as_json)


@bench.command(short_help="One ping at a time.")
@sized(1, 1)
def echo(clients: int, gateways: int, seconds: float, as_json: bool) -> None:
    """One client, one ping at a time."""
    from homing.bench import echo as scenario

    run({"echo": lambda cluster: scenario.echo(cluster, seconds)}, clients, gateways, as_json)


@bench.command(short_help="Pushes to users beside pushes to a crowd.")
@click.option(
    "--viewers", type=click.IntRange(1, 100_000), default=5000, show_default=True, metavar="N", help="Of the file."
)
@click.option(
    "--file-rate",
    type=click.FloatRange(0.1, 1000),
    default=10.0,
    show_default=True,
    help="Pushes a second to the file.",
)
@click.option(
    "--gateways", type=click.IntRange(1, 64), default=3, show_default=True, metavar="N", help="How many gateways."
)
@click.option(
    "--rate", type=click.FloatRange(1, 100_000), default=500.0, show_default=True, help="Pushes a second to users."
)
@click.option("--seconds", type=click.FloatRange(1, 600), default=10.0, show_default=True, help="How long it runs.")
@options.as_json
def mixed(viewers: int, file_rate: float, gateways: int, rate: float, seconds: float, as_json: bool) -> None:
    """Latency of pushes to one user each, alone and while pushes to a file of many viewers run."""
    from homing.bench import mixed as scenario

    runs: Runs = {"mixed": lambda cluster: scenario.mixed(cluster, viewers, rate, file_rate, seconds, say)}
    run(runs, viewers + scenario.USERS, gateways, as_json)


@bench.command(short_help="All clients come back at once.")
@click.option(
    "--users", type=click.IntRange(1, 500_000), default=20_000, show_default=True, metavar="N", help="How many."
)
@click.option(
    "--gateways", type=click.IntRange(1, 64), default=2, show_default=True, metavar="N", help="How many gateways."
)
@click.option(
    "--rate",
    type=click.FloatRange(1, 100_000),
    default=2000.0,
    show_default=True,
    help="Connects a second of those who return.",
)
@click.option(
    "--connect-rate",
    type=click.FloatRange(1, 100_000),
    default=1000.0,
    show_default=True,
    help="Connects a second at first.",
)
@click.option("--kill", is_flag=True, help="Kill a gateway; its clients come back to the others.")
@options.as_json
def storm(users: int, gateways: int, rate: float, connect_rate: float, kill: bool, as_json: bool) -> None:
    """All connections are closed at once, or a gateway is killed: how long until all are back, and what it costs."""
    from homing.bench import limits
    from homing.bench import storm as scenario

    if kill and gateways < 2:
        raise click.UsageError("--kill needs a second gateway to come back to")
    runs: Runs = {"storm": lambda cluster: scenario.storm(cluster, users, connect_rate, rate, kill, say)}
    limits.judge(users, gateways - kill)  # after a kill the others have all of them
    run(runs, users, gateways, as_json)
