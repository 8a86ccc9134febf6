"""The small scenarios of `homing bench`: one cluster, one kind of work, a bare floor beside it."""

import click

from bench.command.figures import Runs, run, say, sized
from homing.command import options


@click.command(short_help="Memory a connection.")
@sized(2000, 1, seconds=0)
def idle(clients: int, gateways: int, as_json: bool) -> None:
    """Memory a connection, at rest and after one message of 64 KiB each way."""
    from bench.cluster import connections

    run({"idle": lambda cluster: connections.idle(cluster, clients)}, clients, gateways, as_json)


@click.command(short_help="CPU per connect.")
@sized(3000, 1, seconds=0)
def connect(clients: int, gateways: int, as_json: bool) -> None:
    """CPU per connect, registration included, as fast as they come."""
    from bench.cluster import connections

    run({"connect": lambda cluster: connections.connects(cluster, clients)}, clients, gateways, as_json)


@click.command(short_help="Pushes to one file.")
@sized(1000, 1, 20)
def fanout(clients: int, gateways: int, rate: float, seconds: float, as_json: bool) -> None:
    """Pushes to one file that everybody has joined."""
    from bench.cluster import fanout as scenario

    run({"fanout": lambda cluster: scenario.fanout(cluster, clients, rate, seconds)}, clients, gateways, as_json)


@click.command(short_help="Pushes to one user each.")
@sized(300, 3, 2000)
def unicast(clients: int, gateways: int, rate: float, seconds: float, as_json: bool) -> None:
    """Pushes to single users through PushStream, then one call each, then as fast as it goes."""
    from bench.cluster import unicast as scenario

    runs: Runs = {
        "unicast, PushStream": lambda cluster: scenario.unicast(cluster, clients, rate, seconds, unary=False),
        "unicast, one call each": lambda cluster: scenario.unicast(cluster, clients, rate, seconds, unary=True),
        "unicast, as fast as it goes": lambda cluster: scenario.flood(cluster, clients, seconds),
    }
    run(runs, clients, gateways, as_json)


@click.command(short_help="One ping at a time.")
@sized(1, 1)
def echo(clients: int, gateways: int, seconds: float, as_json: bool) -> None:
    """One client, one ping at a time."""
    from bench.cluster import echo as scenario

    run({"echo": lambda cluster: scenario.echo(cluster, seconds)}, clients, gateways, as_json)


@click.command(short_help="Pushes to users beside pushes to a crowd.")
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
    from bench.cluster import mixed as scenario

    runs: Runs = {"mixed": lambda cluster: scenario.mixed(cluster, viewers, rate, file_rate, seconds, say)}
    run(runs, viewers + scenario.USERS, gateways, as_json)


@click.command(short_help="All clients come back at once.")
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
    from bench.cluster import limits
    from bench.cluster import storm as scenario

    if kill and gateways < 2:
        raise click.UsageError("--kill needs a second gateway to come back to")
    runs: Runs = {"storm": lambda cluster: scenario.storm(cluster, users, connect_rate, rate, kill, say)}
    limits.judge(users, gateways - kill)  # after a kill the others have all of them
    run(runs, users, gateways, as_json)


SMALL = (idle, connect, fanout, unicast, echo, mixed, storm)
