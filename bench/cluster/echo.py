"""What an answer to one client costs."""

import asyncio
import time
from typing import Any

from bench.cluster.load import loops
from bench.cluster.load.clients import Client, close, connect, masked_text
from bench.cluster.rig import Cluster, floor, per
from bench.cluster.targets import PAYLOAD, bare_at, spread


def echo(cluster: Cluster, seconds: float) -> dict[str, Any]:
    """CPU per echo, one at a time: a ping of 200 bytes and its pong."""
    return loops.run(_echo(cluster, seconds))


async def _echo(cluster: Cluster, seconds: float) -> dict[str, Any]:
    (client,) = await connect(1, spread(cluster))
    ping = b'{"type":"ping","id":1,"pad":"'
    frame = masked_text(ping + b"x" * (PAYLOAD - len(ping) - 2) + b'"}')
    before = cluster.used()
    number = await _one_at_a_time(client, frame, seconds)
    after = cluster.used()
    close([client])
    with floor("echo") as bare:
        (bare_client,) = await connect(1, bare_at(bare.port), b"GET")
        used = bare.used()
        bare_number = await _one_at_a_time(bare_client, frame, seconds)
        floor_us = (bare.used() - used) / bare_number * 1e6
        close([bare_client])
    used_us = per(before, after, number)
    return {
        "echoes": number,
        "cpu_us": used_us,
        "floor_us": round(floor_us, 1),
        "gateway_to_floor": round(used_us["gateways"] / floor_us, 2),
    }


async def _one_at_a_time(client: Client, frame: bytes, seconds: float) -> int:
    number = 0
    until = time.monotonic() + seconds
    answered = asyncio.Event()
    client.on_data = lambda _raw: answered.set()
    while time.monotonic() < until:
        answered.clear()
        client.send(frame)
        await answered.wait()
        number += 1
    return number
