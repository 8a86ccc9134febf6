"""The cost of a response to one client."""

import asyncio
import time
from typing import Any

from bench.cluster.baseline import baseline_server
from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.client_endpoints import PAYLOAD_BYTES, baseline_endpoint, gateway_endpoints
from bench.cluster.load import event_loop
from bench.cluster.load.clients import LoadClient, close, connect, masked_text_frame
from bench.cluster.process_usage import cpu_us_per_operation


def echo(cluster: BenchCluster, seconds: float) -> dict[str, Any]:
    """CPU per echo, one at a time: a ping of 200 bytes and its pong."""
    return event_loop.run(_echo(cluster, seconds))


async def _echo(cluster: BenchCluster, seconds: float) -> dict[str, Any]:
    (client,) = await connect(1, gateway_endpoints(cluster), tls=cluster.tls)
    ping = b'{"type":"ping","id":1,"pad":"'
    frame = masked_text_frame(ping + b"x" * (PAYLOAD_BYTES - len(ping) - 2) + b'"}')
    before = cluster.cpu_seconds()
    echoes = await _one_at_a_time(client, frame, seconds)
    after = cluster.cpu_seconds()
    close([client])
    with baseline_server("echo") as baseline:
        (client,) = await connect(1, baseline_endpoint(baseline.port), b"GET")
        baseline_before = baseline.cpu_seconds()
        baseline_echoes = await _one_at_a_time(client, frame, seconds)
        baseline_us = (baseline.cpu_seconds() - baseline_before) / baseline_echoes * 1e6
        close([client])
    cpu_us = cpu_us_per_operation(before, after, echoes)
    return {
        "echoes": echoes,
        "cpu_us": cpu_us,
        "baseline_us": round(baseline_us, 1),
        "gateway_to_baseline": round(cpu_us["gateways"] / baseline_us, 2),
    }


async def _one_at_a_time(client: LoadClient, frame: bytes, seconds: float) -> int:
    """Send the frame and wait for the response, for so many seconds. Returns the number of responses."""
    count = 0
    deadline = time.monotonic() + seconds
    responded = asyncio.Event()
    client.on_data = lambda _raw: responded.set()
    while time.monotonic() < deadline:
        responded.clear()
        client.send(frame)
        await responded.wait()
        count += 1
    return count
