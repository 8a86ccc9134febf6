"""The small scenarios of `homing bench`: one cluster, one kind of work, a baseline beside it."""

import click

from bench.command.figures import Scenarios, report_progress, run, size_options, tls_option
from homing.command import options


@click.command(short_help="Memory per connection.")
@size_options(2000, 1, seconds=0)
@tls_option
def idle(clients: int, gateways: int, as_json: bool, tls: bool) -> None:
    """Memory per connection, at rest and after one message of 64 KiB in each direction."""
    from bench.cluster import connections

    run({"idle": lambda cluster: connections.idle(cluster, clients)}, clients, gateways, as_json, tls=tls)


@click.command(short_help="CPU per connect.")
@size_options(3000, 1, seconds=0)
@tls_option
def connect(clients: int, gateways: int, as_json: bool, tls: bool) -> None:
    """CPU per connect with its registration, at the highest rate; with --tls full handshakes, then resumed ones."""
    from bench.cluster import connections

    run({"connect": lambda cluster: connections.connects(cluster, clients)}, clients, gateways, as_json, tls=tls)


@click.command(short_help="Pushes to one file.")
@size_options(1000, 1, 20)
@tls_option
def fanout(clients: int, gateways: int, rate: float, seconds: float, as_json: bool, tls: bool) -> None:
    """Pushes to one file that all clients have joined."""
    from bench.cluster import fanout as scenario

    run(
        {"fanout": lambda cluster: scenario.fanout(cluster, clients, rate, seconds)},
        clients,
        gateways,
        as_json,
        tls=tls,
    )


@click.command(short_help="Pushes to one user each.")
@size_options(300, 3, 2000)
def unicast(clients: int, gateways: int, rate: float, seconds: float, as_json: bool) -> None:
    """Pushes to one user each: through PushStream, then by one unary call each, then in a closed loop."""
    from bench.cluster import unicast as scenario

    scenarios: Scenarios = {
        "unicast, PushStream": lambda cluster: scenario.unicast(cluster, clients, rate, seconds, unary=False),
        "unicast, unary calls": lambda cluster: scenario.unicast(cluster, clients, rate, seconds, unary=True),
        "unicast, closed loop": lambda cluster: scenario.closed_loop(cluster, clients, seconds),
    }
    run(scenarios, clients, gateways, as_json)


@click.command(short_help="One ping at a time.")
@size_options(1, 1)
@tls_option
def echo(clients: int, gateways: int, seconds: float, as_json: bool, tls: bool) -> None:
    """One client that sends one ping at a time."""
    from bench.cluster import echo as scenario

    run({"echo": lambda cluster: scenario.echo(cluster, seconds)}, clients, gateways, as_json, tls=tls)


@click.command(short_help="Pushes to users beside pushes to a large file.")
@click.option(
    "--viewers",
    type=click.IntRange(1, 100_000),
    default=5000,
    show_default=True,
    metavar="N",
    help="Viewers of the file.",
)
@click.option(
    "--file-rate",
    type=click.FloatRange(0.1, 1000),
    default=10.0,
    show_default=True,
    help="Pushes a second to the file.",
)
@click.option(
    "--gateways", type=click.IntRange(1, 64), default=3, show_default=True, metavar="N", help="Number of gateways."
)
@click.option(
    "--rate", type=click.FloatRange(1, 100_000), default=500.0, show_default=True, help="Pushes a second to users."
)
@click.option("--seconds", type=click.FloatRange(1, 600), default=10.0, show_default=True, help="Duration of the load.")
@options.as_json
def mixed(viewers: int, file_rate: float, gateways: int, rate: float, seconds: float, as_json: bool) -> None:
    """Latency of pushes to one user each, alone and while pushes to a file with many viewers run."""
    from bench.cluster import mixed as scenario

    scenarios: Scenarios = {
        "mixed": lambda cluster: scenario.mixed(cluster, viewers, rate, file_rate, seconds, report_progress)
    }
    run(scenarios, viewers + scenario.USERS, gateways, as_json)


@click.command(short_help="All clients reconnect at once.")
@click.option(
    "--users", type=click.IntRange(1, 500_000), default=20_000, show_default=True, metavar="N", help="Number of users."
)
@click.option(
    "--gateways", type=click.IntRange(1, 64), default=2, show_default=True, metavar="N", help="Number of gateways."
)
@click.option(
    "--rate",
    type=click.FloatRange(1, 100_000),
    default=2000.0,
    show_default=True,
    help="Reconnects a second.",
)
@click.option(
    "--connect-rate",
    type=click.FloatRange(1, 100_000),
    default=1000.0,
    show_default=True,
    help="Connects a second before the storm.",
)
@click.option("--kill", is_flag=True, help="Kill a gateway; its clients reconnect to the others.")
@tls_option
@options.as_json
def storm(users: int, gateways: int, rate: float, connect_rate: float, kill: bool, as_json: bool, tls: bool) -> None:
    """All connections are closed at once, or a gateway is killed: the time until all are reconnected, and the cost."""
    from bench.cluster import limits
    from bench.cluster import storm as scenario

    if kill and gateways < 2:
        raise click.UsageError("--kill needs a second gateway, to which the clients reconnect")
    scenarios: Scenarios = {
        "storm": lambda cluster: scenario.storm(cluster, users, connect_rate, rate, kill, report_progress)
    }
    limits.check_file_limit(users, gateways - kill)  # after a kill the other gateways have all clients
    run(scenarios, users, gateways, as_json, tls=tls)


SMALL = (idle, connect, fanout, unicast, echo, mixed, storm)
