"""The large scenarios of `homing bench`: the article's tests, its headline, and the comparison of brokers."""

import json

import click

from bench.command.figures import print_figures, report_progress
from homing.command import options


@click.command(short_help="The article's four scenarios.")
@click.option("--cores", type=click.IntRange(1, 64), default=1, show_default=True, help="Cores of the gateways.")
@click.option(
    "--users", type=click.IntRange(1, 2_000_000), metavar="N", help="Number of users.  [default: 31,250 a core]"
)
@click.option(
    "--seconds", type=click.FloatRange(2, 3600), default=30.0, show_default=True, help="Duration of each scenario."
)
@click.option(
    "--connect-rate", type=click.FloatRange(1, 100_000), metavar="N", help="Connects a second.  [default: 800 a core]"
)
@options.as_json
def article(cores: int, users: int | None, seconds: float, connect_rate: float | None, as_json: bool) -> None:
    """The four scenarios of the article, scaled to --cores: 31,250 users a core. Prints the article's figures too.

    Online users; a push every 5 s to each user; the same with acks; that, and 1,250 users a core who connect and as
    many who disconnect each second. The gateways run on the first cores, everything else on the other cores. A process
    may have 20,000 files, so there is a gateway for each 17,000 users, several on one core.
    """
    from bench.cluster import article as scenario
    from bench.cluster import limits
    from bench.cluster.bench_cluster import start_cluster

    total = users or scenario.USERS_PER_CORE * cores
    size = scenario.ArticleSize(cores, total, seconds, connect_rate or 800.0 * cores)
    limits.check_file_limit(total, size.gateways)
    with scenario.reserve_gateway_cores(cores) as (gateway_cores, other_cores):
        placement = f"{size.gateways} gateways on cores {gateway_cores}; everything else on cores {other_cores}"
        report_progress(f"{total} users on {placement}")
        with start_cluster(size.gateways) as cluster:
            result = scenario.article(cluster, size, gateway_cores, report_progress)
    click.echo(json.dumps(result) if as_json else scenario.table(result))


@click.command(short_help="As many idle users as this machine holds.")
@click.option("--users", type=click.IntRange(1, 2_000_000), default=500_000, show_default=True, help="Users at most.")
@click.option("--rate", type=click.FloatRange(1, 100_000), default=1200.0, show_default=True, help="Connects a second.")
@click.option(
    "--a-gateway",
    type=click.IntRange(1, 1_000_000),
    default=18_000,
    show_default=True,
    help="Users per gateway at most.",
)
@click.option(
    "--heartbeat",
    type=click.FloatRange(5, 3600),
    default=300.0,
    show_default=True,
    help="Seconds between pings to an idle client; a gateway's default is 25.",
)
@options.as_json
def headline(users: int, rate: float, a_gateway: int, heartbeat: float, as_json: bool) -> None:
    """The article's 500,000 users on one machine: as many idle registered sessions as this machine holds.

    Prints the memory per session in the gateway, the kernel, etcd and the router, and why the run stopped: memory below
    1.5 GB, or failing connects.
    """
    from bench.cluster import headline as scenario
    from bench.cluster import limits
    from bench.cluster.bench_cluster import MAX_GATEWAYS, start_cluster

    gateways = scenario.gateways_for(users, a_gateway)
    if gateways > MAX_GATEWAYS:
        raise click.UsageError(f"{gateways} gateways; `homing up` starts at most {MAX_GATEWAYS}: raise --a-gateway")
    limits.check_file_limit(users, gateways)
    report_progress(
        f"{users} users on {gateways} gateways, {rate:.0f} connects a second, a ping every {heartbeat:.0f} s"
    )
    with start_cluster(gateways, settings=scenario.settings(heartbeat)) as cluster:
        figures = scenario.headline(cluster, users, rate, report_progress)
    size = {"clients": users, "gateways": gateways, "heartbeat_s": heartbeat}
    print_figures({"headline": {**size, **figures}}, as_json)


@click.command(short_help="Redis pub/sub, Redis Streams, Kafka.")
@click.option(
    "--seconds", type=click.FloatRange(0.5, 60), default=3.0, show_default=True, help="Duration of each measurement."
)
@click.option(
    "--rate",
    type=click.FloatRange(1, 10_000),
    default=200.0,
    show_default=True,
    help="Messages a second, for the latency.",
)
@click.option("--kafka", metavar="HOST:PORT", help="Use this Kafka instead of starting one.")
@options.as_json
def brokers(seconds: float, rate: float, kafka: str | None, as_json: bool) -> None:
    """Brokers in comparison: messages of 100 B to 100 KB, one producer, one consumer, the libraries Homing uses.

    At the highest throughput: messages a second, CPU us per message of producer, consumer and broker; then, at --rate,
    the latency of a message.
    """
    from bench.cluster import brokers as scenario

    result = scenario.brokers(seconds, rate, kafka or "", report_progress)
    click.echo(json.dumps(result) if as_json else scenario.table(result))


LARGE = (article, headline, brokers)
