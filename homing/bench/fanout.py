"""What a push to many costs, a delivered message."""

import asyncio
import time
from typing import Any

import grpc.aio

from homing.bench.clients import close, connect
from homing.bench.pace import Pace, quantiles
from homing.bench.rig import Cluster, floor, per
from homing.bench.targets import PAYLOAD, bare_at, data, find_numbers, spread
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc


async def fanout(cluster: Cluster, clients: int, rate: float, seconds: float) -> dict[str, Any]:
    """CPU per delivered message of a push to one file that everybody has joined."""
    opened = await connect(clients, spread(cluster, file="all"))
    latencies: list[float] = []
    pace = Pace(rate, seconds)

    def look(raw: bytes) -> None:
        now = time.perf_counter()
        latencies.extend(now - pace.due(int(n)) for n in find_numbers(raw))

    for client in opened[:: max(1, clients // 50)]:  # looking costs the generator; a sample is enough
        client.on_data = look
    async with grpc.aio.insecure_channel(cluster.grpc) as channel:
        stub = router_pb2_grpc.RouterStub(channel)  # type: ignore[no-untyped-call]
        reports: list[Any] = []

        def send(due: list[int]) -> None:
            for n in due:
                push = pb.PushRequest(target=pb.Target(file="all"), event="e", data=data(n), max_deliveries=0)
                reports.append(asyncio.ensure_future(stub.Push(push)))

        before = cluster.used()
        await pace.run(send)
        counts = [response.report.counts for response in await asyncio.gather(*reports)]
        delivered = sum(count.get("WRITTEN", 0) for count in counts)
        after = cluster.used()
    close(opened)
    with floor("write") as bare:
        bare.write(f"0 0 {clients}")
        bare_clients = await connect(clients, bare_at(bare.port), b"101")
        await asyncio.to_thread(bare.read)
        bare.write(f"20 {PAYLOAD + 60} {clients}")
        floor_us = float(await asyncio.to_thread(bare.read))
        close(bare_clients)
    used = per(before, after, max(1, delivered))
    return {
        "delivered": delivered,
        "expected": pace.number * clients,
        "cpu_us": used,
        "floor_us": round(floor_us, 2),
        "gateway_to_floor": round(used["gateways"] / floor_us, 2),
        **quantiles(latencies),
        "valid": pace.valid and delivered == pace.number * clients,
    }
