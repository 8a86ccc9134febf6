"""What a connection costs: CPU to open it, and memory to keep it."""

import asyncio
import time
from typing import Any

import grpc.aio

from bench.cluster.load import loops
from bench.cluster.load.clients import Client, close, connect, masked_text
from bench.cluster.load.crowds import crowd_of, crowds
from bench.cluster.rig import Cluster, floor, per
from bench.cluster.targets import bare_at, spread
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

LARGEST = 65_536  # the size limit of a client's message on /ws
WARM_UP = 50  # clients before anything is counted
AS_FAST = 10_000.0  # connects a second, more than there will be: AT_ONCE of bench.cluster.load.crowd bounds them
SETTLE = 10.0  # seconds between the large messages and the second look at memory
Figures = dict[str, Any]


def connects(cluster: Cluster, clients: int) -> Figures:
    """CPU per connect, registration included, as fast as they come."""
    with crowd_of(cluster, clients + WARM_UP) as crowd:
        crowd.open_all(WARM_UP, AS_FAST, first=clients)
        before, began = cluster.used(), time.monotonic()
        crowd.open_all(clients, AS_FAST)
        took, after = time.monotonic() - began, cluster.used()
        refused = sum(crowd.counts().refused.values())
    return {
        "connects_per_s": round(clients / took),
        "refused": refused,
        "cpu_us": (used := per(before, after, clients)),
        "floor_us": (floor_us := accept_floor(clients)),
        "gateway_to_floor": round(used["gateways"] / floor_us, 2),
    }


def accept_floor(clients: int) -> float:
    """Microseconds of CPU of a bare server that answers a head, a connect."""
    with floor("accept") as bare, crowds([f"ws://127.0.0.1:{bare.port}/ws"], b"", clients, protocol="") as crowd:
        used = bare.used()
        crowd.open_all(clients, AS_FAST)
        return round((bare.used() - used) / clients * 1e6, 1)


def idle(cluster: Cluster, clients: int) -> Figures:
    """Memory a connection, at rest and again after one message of the size limit each way."""
    return loops.run(_idle(cluster, clients))


async def _idle(cluster: Cluster, clients: int) -> Figures:
    base = cluster.rss()
    opened = await connect(clients, spread(cluster, file="all"))
    await asyncio.sleep(2)
    at_rest = cluster.rss()
    await _exchange_large(cluster, opened)
    await asyncio.sleep(SETTLE)
    after = cluster.rss()
    with floor("accept") as bare:
        floor_base = bare.rss()
        bare_clients = await connect(clients, bare_at(bare.port), b"101")
        floor_kb = (bare.rss() - floor_base) / clients / 1024
        close(bare_clients)
    close(opened)
    return {
        "idle_kb": round((at_rest - base) / clients / 1024, 2),
        "after_large_kb": round((after - base) / clients / 1024, 2),
        "floor_kb": round(floor_kb, 2),
    }


async def _exchange_large(cluster: Cluster, clients: list[Client]) -> None:
    head = b'{"type":"event","event":"large","data":"'
    frame = masked_text(head + b"x" * (LARGEST - len(head) - 2) + b'"}')
    for start in range(0, len(clients), 25):
        for client in clients[start : start + 25]:
            client.send(frame)
        await asyncio.sleep(0.05)
    wanted = [client.got + LARGEST for client in clients]
    async with grpc.aio.insecure_channel(cluster.grpc) as channel:
        push = pb.PushRequest(
            target=pb.Target(file="all"), event="large", data=b'"' + b"x" * (LARGEST - 2) + b'"', max_deliveries=0
        )
        report = (await router_pb2_grpc.RouterStub(channel).Push(push)).report  # type: ignore[no-untyped-call]
        assert sum(report.counts.values()) == len(clients), report.counts
    async with asyncio.timeout(60):
        while any(client.got < least for client, least in zip(clients, wanted, strict=True)):
            await asyncio.sleep(0.05)
