"""The cost of a push to one user: through PushStream, by one unary call each, and in a closed loop."""

import asyncio
import secrets

import grpc.aio

from bench.cluster.baseline import BaselineServer, baseline_server
from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.client_endpoints import PAYLOAD_BYTES
from bench.cluster.load import event_loop, histogram
from bench.cluster.load.client_pool import ClientPool, cluster_clients
from bench.cluster.load.outcomes import reconcile
from bench.cluster.load.pace import Pace
from bench.cluster.load.push_generator import kept_pace, push_generator, report_latencies
from bench.cluster.load.tally import data
from bench.cluster.process_usage import cpu_us_per_operation
from bench.cluster.scenario import Figures
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

CONNECT_RATE = 500.0  # a second, before the measurement


def unicast(cluster: BenchCluster, clients: int, rate: float, seconds: float, unary: bool, trace: str = "") -> Figures:
    """CPU and latency of a push to one user, through PushStream or by one unary call each.

    `trace`: "", or traceparents that are "sampled" or "unsampled".
    """
    with cluster_clients(cluster, clients) as pool:
        pool.open_all(clients, CONNECT_RATE)
        if unary:
            figures = event_loop.run(_unary_calls(cluster, pool, clients, rate, seconds))
        else:
            figures = _push_stream(cluster, pool, clients, rate, seconds, trace)
    cpu_us = figures["cpu_us"]
    figures["cluster_us"] = round(cpu_us["gateways"] + cpu_us["routers"] + cpu_us["etcd"], 1)
    figures["baseline_us"] = event_loop.run(_baseline_relay_us(rate, min(seconds, 3.0)))
    return figures


def _push_stream(
    cluster: BenchCluster, pool: ClientPool, clients: int, rate: float, seconds: float, trace: str = ""
) -> Figures:
    with push_generator(cluster) as pusher:
        before = cluster.cpu_seconds()
        pusher.start(target="user", names="user-%d", count=clients, rate=rate, seconds=seconds, trace=trace)
        pushed = pusher.wait(seconds)
        after = cluster.cpu_seconds()
        pool.wait(lambda counts: counts.pushes >= pushed["sent"], 1.0)
        reconciled = reconcile(pusher.outcome_codes(), pool.received(0))
    counts = pool.counts()
    written = pushed["outcomes"].get("WRITTEN", 0)
    return {
        "pushes": pushed["total"],
        "written": written,
        "received": counts.pushes,
        **({"refused": pushed["errors"]} if pushed["errors"] else {}),
        **reconciled,
        "cpu_us": cpu_us_per_operation(before, after, max(1, pushed["sent"])),
        **histogram.quantiles(counts.latencies[0]),
        **report_latencies(pushed),
        "valid": kept_pace(pushed) and written == pushed["total"] == counts.pushes,
    }


async def _unary_calls(cluster: BenchCluster, pool: ClientPool, clients: int, rate: float, seconds: float) -> Figures:
    """These calls come from this process, by grpc.aio: their CPU is part of the generator's."""
    pace = Pace(rate, seconds)
    series = secrets.token_hex(4)
    calls: list[asyncio.Task[int]] = []
    async with grpc.aio.insecure_channel(cluster.grpc) as channel:
        stub = router_pb2_grpc.RouterStub(channel)  # type: ignore[no-untyped-call]

        async def push(n: int) -> int:
            target = pb.Target(user=f"user-{n % clients}")
            payload = data(0, n, pace.due_us(n), PAYLOAD_BYTES)
            request = pb.PushRequest(target=target, event="e", data=payload, push_id=f"{series}-{n}")
            try:
                return int((await stub.Push(request)).report.counts.get("WRITTEN", 0))
            except grpc.aio.AioRpcError:
                return 0  # a push that was not written makes the run invalid

        before = cluster.cpu_seconds()
        await pace.run(lambda due: calls.extend(asyncio.ensure_future(push(n)) for n in due))
        written = sum(await asyncio.gather(*calls))
        after = cluster.cpu_seconds()
    await asyncio.sleep(0.2)
    counts = pool.counts()
    return {
        "pushes": pace.total,
        "written": written,
        "received": counts.pushes,
        "cpu_us": cpu_us_per_operation(before, after, pace.total),
        **histogram.quantiles(counts.latencies[0]),
        "valid": pace.valid and written == pace.total == counts.pushes,
    }


async def _baseline_relay_us(rate: float, seconds: float) -> float:
    """CPU per message of two relays in a row: the way from router to gateway to client, without any work."""
    received = 0
    accepted: list[asyncio.Transport] = []

    class Sink(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)  # type: ignore[arg-type]  # a socket's

        def data_received(self, raw: bytes) -> None:
            nonlocal received
            received += len(raw)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with baseline_server("relay", str(port)) as second, baseline_server("relay", str(second.port)) as first:
            transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", first.port)
            pace = Pace(rate, seconds)
            before = _cpu_seconds_of_both(first, second)
            await pace.run(lambda due: transport.write(b"".join(data(0, n, 0, PAYLOAD_BYTES) for n in due)))
            async with asyncio.timeout(10):
                while received < pace.total * PAYLOAD_BYTES:
                    await asyncio.sleep(0.01)
            used = _cpu_seconds_of_both(first, second) - before
            transport.close()
    finally:
        server.close()
        for one in accepted:
            one.abort()
        await asyncio.sleep(0)  # they are closed before the loop is
    return round(used / pace.total * 1e6, 1)


def _cpu_seconds_of_both(first: BaselineServer, second: BaselineServer) -> float:
    return first.cpu_seconds() + second.cpu_seconds()


def closed_loop(cluster: BenchCluster, clients: int, seconds: float, outstanding: int = 2000) -> Figures:
    """Throughput of one PushStream with a fixed number of pushes outstanding."""
    with cluster_clients(cluster, clients) as pool, push_generator(cluster) as pusher:
        pool.open_all(clients, CONNECT_RATE)
        before = cluster.cpu_seconds()
        pusher.start(target="user", names="user-%d", count=clients, rate=1.0, seconds=seconds, outstanding=outstanding)
        pushed = pusher.wait(seconds)
        after = cluster.cpu_seconds()
    cpu_us = cpu_us_per_operation(before, after, max(1, pushed["reported"]))
    return {
        "pushes_per_s": round(pushed["reported"] / seconds),
        "per_router_cpu_s": round(1e6 / cpu_us["routers"]) if cpu_us["routers"] else None,
        "cpu_us": cpu_us,
        "valid": not pushed["stream_end"] and pushed["outcomes"].get("WRITTEN", 0) == pushed["reported"],
    }
