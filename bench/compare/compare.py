"""Both delivery modes over the available buses, from the fewest gateways to the most."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import grpc.aio

from bench.compare import load
from bench.compare.growing_cluster import growing_cluster
from bench.compare.load import CompareLoad
from bench.compare.rows import Row
from homing.cluster import kafka as local_kafka
from homing.cluster.errors import CommandError

MODES = ("routed", "broadcast")


def available_buses(requested: Sequence[str], kafka: str, on_missing: Callable[[str], None]) -> list[str]:
    """The requested buses that can be used; `on_missing` receives the reason for each other one.

    `kafka`: host:port of a running Kafka, or "". CommandError: no bus can be used.
    """
    available = []
    for bus in requested:
        if bus == "kafka" and not kafka:
            try:
                local_kafka.find_java(), local_kafka.find_libs()
            except CommandError as error:
                on_missing(f"not compared over Kafka: {error}")
                continue
        available.append(bus)
    if not available:
        raise CommandError("there is no bus to compare over: use --bus redis, or install Kafka (`make kafka`)")
    return available


def compare(
    buses: Sequence[str],
    gateway_counts: Sequence[int],
    requested: CompareLoad,
    kafka: str,
    report_progress: Callable[[str], None],
    on_row: Callable[[Row], None],
) -> list[Row]:
    """Measure everything; `on_row` receives each row when it is measured. CommandError: a process did not start."""
    rows: list[Row] = []

    def add_row(row: Row) -> None:
        rows.append(row)
        on_row(row)

    for bus in buses:
        for mode in MODES:
            report_progress(f"{mode} over {bus}: starting a cluster ...")
            with growing_cluster(mode, bus, kafka) as cluster:
                for gateways in gateway_counts:
                    cluster.grow_to(gateways)
                    report_progress(f"{mode} over {bus}: {gateways} gateway{'s' * (gateways > 1)} ...")
                    _run(load.measure(cluster, mode, bus, requested, add_row))
    return rows


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run with uvloop where it is installed. CommandError: the cluster refused the load, or failed under it."""
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        run = uvloop.run
    try:
        run(work)
    except* (OSError, grpc.aio.AioRpcError) as errors:
        raise CommandError(f"the cluster failed under the load: {errors.exceptions[0]}") from None
