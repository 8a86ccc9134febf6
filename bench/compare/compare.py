"""Both modes over the buses that are here, from the fewest gateways to the most."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import grpc.aio

from bench.compare import load
from bench.compare.growing import growing
from bench.compare.load import Load
from bench.compare.rows import Row
from homing.cluster import kafka as our_kafka
from homing.cluster.trouble import CommandError

MODES = ("routed", "broadcast")


def buses_here(wanted: Sequence[str], kafka: str, note: Callable[[str], None]) -> list[str]:
    """The wanted buses that can be had; `note` hears why one cannot. `kafka`: a broker that runs already, or "".

    Trouble: none of them can.
    """
    here = []
    for bus in wanted:
        if bus == "kafka" and not kafka:
            try:
                our_kafka.find_java(), our_kafka.find_libs()
            except CommandError as trouble:
                note(f"not compared over Kafka: {trouble}")
                continue
        here.append(bus)
    if not here:
        raise CommandError("there is no bus to compare over")
    return here


def compare(
    buses: Sequence[str],
    steps: Sequence[int],
    wanted: Load,
    kafka: str,
    say: Callable[[str], None],
    done: Callable[[Row], None],
) -> list[Row]:
    """Measure everything; `done` hears each row as it is there. Trouble: a part did not start."""
    rows: list[Row] = []

    def hear(row: Row) -> None:
        rows.append(row)
        done(row)

    for bus in buses:
        for mode in MODES:
            say(f"{mode} over {bus}: starting a cluster ...")
            with growing(mode, bus, kafka) as cluster:
                for gateways in steps:
                    cluster.grow(gateways)
                    say(f"{mode} over {bus}: {gateways} gateway{'s' * (gateways > 1)} ...")
                    _run(load.step(cluster, mode, bus, wanted, hear))
    return rows


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Trouble: the cluster refused the load, or broke under it."""
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        run = uvloop.run
    try:
        run(work)
    except* (OSError, grpc.aio.AioRpcError) as errors:
        raise CommandError(f"the cluster did not bear the load: {errors.exceptions[0]}") from None
