"""The cost of a connection: CPU to open it, memory to keep it."""

import asyncio
import time

import grpc.aio

from bench.cluster.baseline import baseline_server
from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.client_endpoints import baseline_endpoint, gateway_endpoints
from bench.cluster.load import event_loop
from bench.cluster.load.client_pool import client_pool, cluster_clients
from bench.cluster.load.clients import LoadClient, close, connect, masked_text_frame
from bench.cluster.process_usage import cpu_us_per_operation
from bench.cluster.scenario import Figures
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

MAX_MESSAGE_BYTES = 65_536  # the limit of a client's message on /ws
WARM_UP_CLIENTS = 50  # connected before the measurement
UNPACED_RATE = 10_000.0  # connects a second, above any real rate: MAX_CONNECTING of the client worker bounds them
SETTLE_TIME = 10.0  # seconds between the large messages and the second reading of memory


def connects(cluster: BenchCluster, clients: int) -> Figures:
    """CPU per connect with its registration, at the highest rate; over TLS with full handshakes and with resumed ones.
    The baseline has no TLS."""
    figures = _connects(cluster, clients, resume=False)
    baseline_us = baseline_accept_us(clients)
    figures |= {
        "baseline_us": baseline_us,
        "gateway_to_baseline": round(figures["cpu_us"]["gateways"] / baseline_us, 2),
    }
    if cluster.ca:
        figures |= {f"resumed_{name}": value for name, value in _connects(cluster, clients, resume=True).items()}
    return figures


def _connects(cluster: BenchCluster, clients: int, resume: bool) -> Figures:
    with cluster_clients(cluster, clients + WARM_UP_CLIENTS, resume=resume) as pool:
        pool.open_all(WARM_UP_CLIENTS, UNPACED_RATE, first=clients)
        before, started_at = cluster.cpu_seconds(), time.monotonic()
        pool.open_all(clients, UNPACED_RATE)
        seconds, after = time.monotonic() - started_at, cluster.cpu_seconds()
        counts = pool.counts()
    figures: Figures = {
        "connects_per_s": round(clients / seconds),
        "refused": sum(counts.refused.values()),
        "cpu_us": cpu_us_per_operation(before, after, clients),
    }
    return {**figures, "handshakes": counts.resumed} if resume else figures


def baseline_accept_us(clients: int) -> float:
    """Microseconds of CPU per connect of a server that answers each handshake with a fixed response."""
    with (
        baseline_server("accept") as baseline,
        client_pool([f"ws://127.0.0.1:{baseline.port}/ws"], b"", clients, protocol="") as pool,
    ):
        before = baseline.cpu_seconds()
        pool.open_all(clients, UNPACED_RATE)
        return round((baseline.cpu_seconds() - before) / clients * 1e6, 1)


def idle(cluster: BenchCluster, clients: int) -> Figures:
    """Memory per connection, at rest and after one message of the maximum size in each direction."""
    return event_loop.run(_idle(cluster, clients))


async def _idle(cluster: BenchCluster, clients: int) -> Figures:
    empty = cluster.rss_bytes()
    connected = await connect(clients, gateway_endpoints(cluster, file="all"), tls=cluster.tls)
    await asyncio.sleep(2)
    at_rest = cluster.rss_bytes()
    await _exchange_large(cluster, connected)
    await asyncio.sleep(SETTLE_TIME)
    after = cluster.rss_bytes()
    baseline_kb = await _baseline_kb(clients)
    close(connected)
    return {
        "idle_kb": round((at_rest - empty) / clients / 1024, 2),
        "after_large_kb": round((after - empty) / clients / 1024, 2),
        "baseline_kb": round(baseline_kb, 2),
    }


async def _baseline_kb(clients: int) -> float:
    with baseline_server("accept") as baseline:
        empty = baseline.rss_bytes()
        connected = await connect(clients, baseline_endpoint(baseline.port), b"101")
        kb = (baseline.rss_bytes() - empty) / clients / 1024
        close(connected)
    return kb


async def _exchange_large(cluster: BenchCluster, clients: list[LoadClient]) -> None:
    head = b'{"type":"event","event":"large","data":"'
    frame = masked_text_frame(head + b"x" * (MAX_MESSAGE_BYTES - len(head) - 2) + b'"}')
    for start in range(0, len(clients), 25):
        for client in clients[start : start + 25]:
            client.send(frame)
        await asyncio.sleep(0.05)
    expected = [client.bytes_received + MAX_MESSAGE_BYTES for client in clients]
    async with grpc.aio.insecure_channel(cluster.grpc) as channel:
        data = b'"' + b"x" * (MAX_MESSAGE_BYTES - 2) + b'"'
        push = pb.PushRequest(target=pb.Target(file="all"), event="large", data=data, max_deliveries=0)
        report = (await router_pb2_grpc.RouterStub(channel).Push(push)).report  # type: ignore[no-untyped-call]
        assert sum(report.counts.values()) == len(clients), report.counts
    async with asyncio.timeout(60):
        while any(client.bytes_received < least for client, least in zip(clients, expected, strict=True)):
            await asyncio.sleep(0.05)
