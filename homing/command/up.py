"""`homing up`: a whole cluster on one machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from homing.cluster.trouble import CommandError
from homing.command import options

if TYPE_CHECKING:
    from homing.cluster.file import Cluster


@click.command(short_help="Start a whole cluster on this machine.")
@click.option("--gateways", type=click.IntRange(1, 64), default=2, show_default=True, metavar="N", help="How many.")
@click.option("--routers", type=click.IntRange(1, 16), default=1, show_default=True, metavar="N", help="How many.")
@click.option("--etcd", metavar="HOST:PORT[,...]", help="Use this etcd instead of starting one.")
@click.option("--redis", metavar="URL", help="Use this Redis instead of starting one.")
@click.option(
    "--delivery",
    type=click.Choice(["routed", "broadcast"]),
    help="How pushes travel: to the owning gateways (routed, the default), or over the bus to all of them.",
)
@click.option(
    "--bus",
    type=click.Choice(["redis", "kafka"]),
    help="Carries client events and broadcast pushes.  [default: redis]",
)
@click.option(
    "--kafka", metavar="HOST:PORT[,...]", help="Use this Kafka instead of starting one (implies --bus kafka)."
)
@click.option("--otlp", type=options.COLLECTOR, metavar="URL", help="Send traces there (OTLP over gRPC), as to Jaeger.")
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="A homing.toml to build upon."
)
@options.run_dir
@options.as_json
def up(
    gateways: int,
    routers: int,
    etcd: str | None,
    redis: str | None,
    delivery: str | None,
    bus: str | None,
    kafka: str | None,
    otlp: str | None,
    config: Path | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Start etcd, Redis, gateways and routers here; Ctrl-C stops them all.

    etcd and Redis are taken from PATH or, failing that, from wheels. Ports are free ones unless the configuration
    names some. DIR/cluster.json tells what runs where once everything is ready, DIR/homing.toml adds to the cluster:
    homing gateway --config DIR/homing.toml. With --json the cluster is printed as one line and nothing else.

    --bus kafka starts a Kafka, too. It needs java, and Kafka's jars: `make kafka` brings them into a checkout;
    elsewhere KAFKA_HOME names the folder of an Apache Kafka.

    \b
    Examples:
      homing up
      homing up --gateways 3 --run-dir /tmp/trial
      homing up --delivery broadcast --bus kafka --kafka 127.0.0.1:9092
      homing up --otlp http://127.0.0.1:4317
    """
    from homing.cluster import file, settings
    from homing.cluster.lock import RunDirLock
    from homing.cluster.supervisor import Wanted, start_cluster

    user = settings.load(config)
    if collector := otlp or settings.given(user, "trace", "otlp"):
        user = settings.merge(user, {"trace": {"otlp": collector}})
    wanted = Wanted(
        run_dir=run_dir,
        gateways=gateways,
        routers=routers,
        etcd=settings.endpoints(etcd or settings.given(user, "registry", "etcd")),
        redis=settings.redis_url(redis or str(settings.given(user, "bus", "redis") or "")),
        user=user,
        kafka=settings.broker(kafka or str(settings.given(user, "bus", "kafka") or "")),
        bus=bus or ("kafka" if kafka else str(settings.given(user, "bus", "kind") or "redis")),
        delivery=delivery or str(settings.given(user, "delivery", "mode") or "routed"),
    )
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make the run-dir {run_dir}: {error.strerror}") from None

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    def on_ready(cluster: "Cluster") -> None:
        if as_json:
            import msgspec

            click.echo(msgspec.json.encode(cluster))
        else:
            click.echo(ready_text(run_dir, cluster if settings.serves_page(user) else None))

    with RunDirLock(run_dir):
        file.remove(run_dir)  # a killed `up` may have left one
        raise SystemExit(start_cluster(wanted, say, on_ready))


def ready_text(run_dir: Path, cluster: "Cluster | None" = None) -> str:
    """What a person does next, to be copied; with a cluster also its page to try it."""
    import shlex

    where = "" if str(run_dir) == ".homing" else f" --run-dir {shlex.quote(str(run_dir))}"
    page = f"\n  {page_address(cluster)}   a page to try it\n" if cluster and cluster.gateways else ""
    return f"""
Ready. {run_dir}/cluster.json says what runs where. {"In a browser, or in" if page else "In"} other terminals:
{page}
  homing listen{where} --user ada --file notes
  homing push{where} --file notes --event hello --data '{{"text": "hi"}}'
  homing token{where} --user ada --file notes

Ctrl-C stops everything."""


def page_address(cluster: "Cluster") -> str:
    """The first gateway's page; its second user connects to the second gateway, so that a push has two ways to go."""
    hosts = [gateway.url.split("/")[2] for gateway in cluster.gateways[:2]]
    return f"http://{hosts[0]}/" + (f"?second={hosts[1]}" if len(hosts) > 1 else "")
