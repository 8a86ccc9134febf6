"""`homing bench`: what things cost here, beside a bare floor."""

import json
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from homing.cluster.trouble import Trouble
from homing.command import options

if TYPE_CHECKING:
    from homing.bench.rig import Cluster

SCENARIOS = ("idle", "connect", "fanout", "unicast", "echo")
MARGIN = 200  # files beside one a client
DEFAULTS: dict[str, tuple[int, int, float]] = {  # clients, gateways, pushes a second
    "idle": (2000, 1, 0),
    "connect": (3000, 1, 0),
    "fanout": (1000, 1, 20),
    "unicast": (300, 3, 2000),
    "echo": (1, 1, 0),
}


@click.command(short_help="Measure what things cost here.")
@click.argument("scenario", type=click.Choice(SCENARIOS))
@click.option("--clients", type=click.IntRange(1, 18_000), metavar="N", help="How many connections.")
@click.option("--gateways", type=click.IntRange(1, 16), metavar="N", help="How many gateways.")
@click.option("--rate", type=click.FloatRange(1, 100_000), metavar="N", help="Pushes a second (fanout, unicast).")
@click.option("--seconds", type=click.FloatRange(1, 600), default=8.0, show_default=True, help="How long it pushes.")
@options.as_json
def bench(
    scenario: str, clients: int | None, gateways: int | None, rate: float | None, seconds: float, as_json: bool
) -> None:
    """Start a cluster of its own, load it, and print CPU per operation, latency and memory, with a bare floor beside.

    idle: memory a connection, at rest and after one message of 64 KiB each way. connect: CPU per connect, registration
    included. fanout: pushes to one file that everybody has joined. unicast: pushes to single users through PushStream,
    then one call each, then as fast as it goes. echo: one ping at a time.

    \b
    Examples:
      homing bench unicast
      homing bench fanout --clients 5000 --rate 5 --json
    """
    try:
        from homing.bench import connections, echo, fanout, rig, unicast
    except ImportError as error:
        raise Trouble(f"bench needs the whole of Homing: pip install 'homing[up]' ({error.name} is missing)") from None

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that an ended run still stops its cluster
    number, nodes, default_rate = DEFAULTS[scenario]
    number, nodes, pace = clients or number, gateways or nodes, rate or default_rate
    _judge_files(number)
    runs: dict[str, Callable[[Cluster], Awaitable[dict[str, Any]]]] = {
        "idle": lambda cluster: connections.idle(cluster, number),
        "connect": lambda cluster: connections.connects(cluster, number),
        "fanout": lambda cluster: fanout.fanout(cluster, number, pace, seconds),
        "echo": lambda cluster: echo.echo(cluster, seconds),
        "unicast, PushStream": lambda cluster: unicast.unicast(cluster, number, pace, seconds, unary=False),
        "unicast, one call each": lambda cluster: unicast.unicast(cluster, number, pace, seconds, unary=True),
        "unicast, as fast as it goes": lambda cluster: unicast.flood(cluster, number, seconds),
    }
    wanted = [name for name in runs if name.split(",")[0] == scenario]
    figures = {}
    for name in wanted:
        click.echo(f"{name}: {number} clients, {nodes} gateways ...", err=True)
        with rig.cluster(nodes) as cluster:
            figures[name] = {"clients": number, "gateways": nodes, **_run(runs[name](cluster))}
    click.echo(json.dumps(figures) if as_json else "\n".join(describe(name, told) for name, told in figures.items()))


def _run(work: "Awaitable[dict[str, Any]]") -> dict[str, Any]:
    import asyncio

    async def body() -> dict[str, Any]:
        return await work

    try:
        import uvloop
    except ImportError:
        return asyncio.run(body())
    return uvloop.run(body())


def _judge_files(clients: int) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if clients + MARGIN > hard:
        raise Trouble(f"{clients} clients need {clients + MARGIN} open files; the limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, clients + MARGIN)), hard))


def describe(name: str, told: dict[str, Any]) -> str:
    """One scenario's figures in words."""
    lines = [f"{name}: {told['clients']} clients, {told['gateways']} gateways"]
    if told.get("valid") is False:
        lines.append("  INVALID: the generator fell behind, or something was lost")
    for key, value in told.items():
        if key == "cpu_us":
            shares = ", ".join(f"{kind} {us}" for kind, us in value.items())
            lines.append(f"  CPU us an operation: {shares}")
        elif key not in ("clients", "gateways", "valid"):
            lines.append(f"  {key}: {value}")
    return "\n".join(lines)
