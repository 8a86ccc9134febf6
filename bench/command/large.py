"""The large scenarios of `homing bench`: the article's own tests, its headline, and the comparison of brokers."""

import json

import click

from bench.command.figures import say, show
from homing.command import options


@click.command(short_help="The article's four scenarios.")
@click.option("--cores", type=click.IntRange(1, 64), default=1, show_default=True, help="Cores that gateways get.")
@click.option("--users", type=click.IntRange(1, 2_000_000), metavar="N", help="How many.  [default: 31,250 a core]")
@click.option("--seconds", type=click.FloatRange(2, 3600), default=30.0, show_default=True, help="Of each scenario.")
@click.option("--connect-rate", type=click.FloatRange(1, 100_000), metavar="N", help="A second.  [default: 800 a core]")
@options.as_json
def article(cores: int, users: int | None, seconds: float, connect_rate: float | None, as_json: bool) -> None:
    """The four scenarios of the article, scaled to the cores given: 31,250 users a core, and its figures beside ours.

    Users who are online; a push every 5 s to each; the same with acks; that, and 1,250 users a core who come and as
    many who go in a second. The gateways run on the first cores, everything else on the rest. A process may have
    20,000 files, so there is a gateway for each 17,000 users, several on one core.
    """
    from bench.cluster import article as scenario
    from bench.cluster import limits, rig

    total = users or scenario.USERS_A_CORE * cores
    size = scenario.Size(cores, total, seconds, connect_rate or 800.0 * cores)
    limits.judge(total, size.gateways)
    with scenario.rest_on(cores) as (pinned, rest):
        say(f"{total} users on {size.gateways} gateways on cores {pinned}; everything else on cores {rest}")
        with rig.cluster(size.gateways) as cluster:
            told = scenario.article(cluster, size, pinned, say)
    click.echo(json.dumps(told) if as_json else scenario.table(told))


@click.command(short_help="As many idle users as there is room for.")
@click.option(
    "--users", type=click.IntRange(1, 2_000_000), default=500_000, show_default=True, help="How many at most."
)
@click.option("--rate", type=click.FloatRange(1, 100_000), default=1200.0, show_default=True, help="Connects a second.")
@click.option(
    "--a-gateway", type=click.IntRange(1, 1_000_000), default=18_000, show_default=True, help="Users at most."
)
@click.option(
    "--heartbeat",
    type=click.FloatRange(5, 3600),
    default=300.0,
    show_default=True,
    help="Seconds between pings to an idle client; the gateway's own default is 25.",
)
@options.as_json
def headline(users: int, rate: float, a_gateway: int, heartbeat: float, as_json: bool) -> None:
    """The article's 500,000 users on one machine: as many idle registered sessions as this one holds.

    Tells what a session takes in the gateway, the kernel, etcd and the router, and what stopped it: memory below
    1.5 GB, or connects that fail.
    """
    from bench.cluster import headline as scenario
    from bench.cluster import limits, rig

    gateways = scenario.gateways_for(users, a_gateway)
    if gateways > rig.MOST_GATEWAYS:
        raise click.UsageError(
            f"{gateways} gateways; `homing up` starts at most {rig.MOST_GATEWAYS}: raise --a-gateway"
        )
    limits.judge(users, gateways)
    say(f"{users} users on {gateways} gateways, {rate:.0f} connects a second, a ping every {heartbeat:.0f} s")
    with rig.cluster(gateways, settings=scenario.settings(heartbeat)) as cluster:
        told = scenario.headline(cluster, users, rate, say)
    show({"headline": {"clients": users, "gateways": gateways, "heartbeat_s": heartbeat, **told}}, as_json)


@click.command(short_help="Redis pub/sub, Redis Streams, Kafka.")
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=3.0, show_default=True, help="Of each measurement.")
@click.option("--rate", type=click.FloatRange(1, 10_000), default=200.0, show_default=True, help="For the latency.")
@click.option("--kafka", metavar="HOST:PORT", help="Use this Kafka instead of starting one.")
@options.as_json
def brokers(seconds: float, rate: float, kafka: str | None, as_json: bool) -> None:
    """What each broker does with messages of 100 B to 100 KB: one producer, one consumer, the libraries Homing uses.

    As fast as it goes: messages a second, CPU us a message of producer, consumer and broker; then, at a modest rate,
    how long a message takes.
    """
    from bench.cluster import brokers as scenario

    told = scenario.brokers(seconds, rate, kafka or "", say)
    click.echo(json.dumps(told) if as_json else scenario.table(told))


LARGE = (article, headline, brokers)
