"""`homing up`: a cluster on one machine."""

import os
from pathlib import Path

import click

from homing.cluster.errors import CommandError
from homing.command import address_types, options, services


@click.command(short_help="Start a cluster on this machine.")
@click.option("--gateways", type=click.IntRange(1, 64), default=2, show_default=True, metavar="N", help="How many.")
@click.option("--routers", type=click.IntRange(1, 16), default=1, show_default=True, metavar="N", help="How many.")
@click.option(
    "--etcd", type=address_types.ADDRESSES, metavar="HOST:PORT[,...]", help="Use this etcd instead of starting one."
)
@click.option("--redis", type=address_types.REDIS_URL, metavar="URL", help="Use this Redis instead of starting one.")
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
    "--kafka",
    type=address_types.ADDRESSES,
    metavar="HOST:PORT[,...]",
    help="Use this Kafka instead of starting one (implies --bus kafka).",
)
@click.option(
    "--otlp", type=address_types.COLLECTOR_URL, metavar="URL", help="Send traces there (OTLP over gRPC), as to Jaeger."
)
@click.option("--config", type=options.PathParam(dir_okay=False), metavar="FILE", help="A homing.toml to build upon.")
@click.option(
    "--ports",
    type=click.Choice(["fixed", "random"]),
    default="fixed",
    show_default=True,
    help="8400 and up for clients, 8500 and 8501 for the API; or any free ones.",
)
@options.run_dir
@options.as_json
def up(
    gateways: int,
    routers: int,
    etcd: list[str] | None,
    redis: str | None,
    delivery: str | None,
    bus: str | None,
    kafka: list[str] | None,
    otlp: str | None,
    config: Path | None,
    ports: str,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Start etcd, Redis, gateways and routers here; Ctrl-C stops them all.

    etcd and Redis are taken from PATH or, failing that, from wheels. A router's API is at 8500 (gRPC) and 8501 (HTTP),
    clients connect at 8400 and up, or at other ports where these are taken, or where the configuration says. Once
    everything is ready DIR/cluster.json has all addresses; DIR/homing.toml starts further processes:
    homing gateway --config DIR/homing.toml. With --json the cluster is printed as one line and nothing else.

    --bus kafka starts a Kafka, too. Kafka needs java and its jars: `make kafka` installs the jars in a checkout;
    elsewhere KAFKA_HOME names the folder of an Apache Kafka.

    \b
    Examples:
      homing up
      homing up --gateways 3 --run-dir /tmp/trial
      homing up --delivery broadcast --bus kafka --kafka 127.0.0.1:9092
      homing up --otlp http://127.0.0.1:4317
    """
    from homing.cluster import cluster_file, devtoken, settings
    from homing.cluster import ports as ports_of_listeners
    from homing.cluster.lock import RunDirLock
    from homing.cluster.ports import is_free, none_is_free
    from homing.cluster.supervisor import ClusterSpec, run_cluster
    from homing.command.up_output import UpOutput

    user = settings.load(config)
    tables = [("homing up", settings.DEFAULTS), (str(config), user)]
    services.check_configuration(tables, os.environ)
    ports_of_listeners.check_listeners(user, config, gateways, routers)
    if collector := otlp or settings.configured(user, "trace", "otlp"):
        user = settings.merge(user, {"trace": {"otlp": collector}})
    spec = ClusterSpec(
        run_dir=run_dir,
        gateways=gateways,
        routers=routers,
        etcd=etcd or settings.addresses(settings.configured(user, "registry", "etcd")),
        redis=redis or str(settings.configured(user, "bus", "redis") or ""),
        user=user,
        kafka=",".join(kafka or settings.addresses(settings.configured(user, "bus", "kafka"))),
        bus=bus or ("kafka" if kafka else str(settings.configured(user, "bus", "kind") or "redis")),
        is_free=is_free if ports == "fixed" else none_is_free,
        delivery=delivery or str(settings.configured(user, "delivery", "mode") or "routed"),
    )
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make the run-dir {run_dir}: {error.strerror}") from None

    printed = UpOutput(run_dir, as_json, settings.serves_page(user))
    with RunDirLock(run_dir):
        cluster_file.remove(run_dir)  # a killed `up` may have left one
        services.check_keys([("homing up", settings.defaults(devtoken.ensure_key(run_dir))), tables[1]], os.environ)
        status = run_cluster(spec, printed.report_progress, printed.on_ready, printed.stop_without_reader)
    printed.check_read()
    raise SystemExit(status)
