"""What a push to one user costs: through PushStream, one call each, and as fast as it goes."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc.aio

from homing.bench.clients import close, connect
from homing.bench.pace import Pace, quantiles
from homing.bench.rig import Cluster, Floor, floor, per
from homing.bench.targets import PAYLOAD, data, find_numbers, spread
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc


async def unicast(
    cluster: Cluster,
    clients: int,
    rate: float,
    seconds: float,
    unary: bool,
    trace: Callable[[int], str] = lambda _n: "",
) -> dict[str, Any]:
    """CPU and latency of a push to one user, through PushStream or one call each; `trace` gives its traceparent."""
    opened = await connect(clients, spread(cluster))
    latencies: list[float] = []
    pace = Pace(rate, seconds)

    def look(raw: bytes) -> None:
        now = time.perf_counter()
        latencies.extend(now - pace.due(int(n)) for n in find_numbers(raw))

    for client in opened:
        client.on_data = look

    def request(n: int) -> pb.PushRequest:
        target = pb.Target(user=f"user-{n % clients}")
        return pb.PushRequest(target=target, event="e", data=data(n), push_id=f"b{n}", traceparent=trace(n))

    async with grpc.aio.insecure_channel(cluster.grpc) as channel:
        stub = router_pb2_grpc.RouterStub(channel)  # type: ignore[no-untyped-call]
        before = cluster.used()
        written = await (_unary(stub, pace, request) if unary else _streamed(stub, pace, request))
        after = cluster.used()
    await asyncio.sleep(0.2)
    close(opened)
    used = per(before, after, pace.number)
    floor_us = await _relay_floor(rate, min(seconds, 3.0))
    return {
        "pushes": pace.number,
        "written": written,
        "received": len(latencies),
        "cpu_us": used,
        "cluster_us": round(used["gateways"] + used["routers"] + used["etcd"], 1),
        "floor_us": floor_us,
        **quantiles(latencies),
        "valid": pace.valid and written == pace.number == len(latencies),
    }


async def _unary(stub: Any, pace: Pace, request: Callable[[int], pb.PushRequest]) -> int:  # noqa: ANN401
    async def one(n: int) -> int:
        try:
            return int((await stub.Push(request(n))).report.counts.get("WRITTEN", 0))
        except grpc.aio.AioRpcError:
            return 0  # a push that was not written makes the run invalid

    calls: list[asyncio.Task[int]] = []
    await pace.run(lambda due: calls.extend(asyncio.ensure_future(one(n)) for n in due))
    return sum(await asyncio.gather(*calls))


async def _streamed(stub: Any, pace: Pace, request: Callable[[int], pb.PushRequest]) -> int:  # noqa: ANN401
    stream = stub.PushStream()
    gathered: list[pb.PushRequest] = []
    some = asyncio.Event()

    def send(due: list[int]) -> None:
        gathered.extend(map(request, due))
        some.set()

    async def write() -> None:
        while True:
            await some.wait()
            some.clear()
            while gathered:
                batch = gathered[:256]
                del gathered[:256]
                await stream.write(pb.PushStreamRequest(pushes=batch))

    async def read() -> int:
        written = seen = 0
        while seen < pace.number:
            message = await stream.read()
            seen += len(message.reports)
            written += sum(report.counts.get("WRITTEN", 0) for report in message.reports)
        return written

    writing, reading = asyncio.ensure_future(write()), asyncio.ensure_future(read())
    await pace.run(send)
    async with asyncio.timeout(30):
        written = await reading
    writing.cancel()
    await stream.done_writing()
    return written


async def _relay_floor(rate: float, seconds: float) -> float:
    """CPU of two bare processes that pass the same messages on, router and gateway without a thought."""
    done: list[int] = [0]

    class Sink(asyncio.Protocol):
        def data_received(self, raw: bytes) -> None:
            done[0] += len(raw)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with floor("relay", str(port)) as second, floor("relay", str(second.port)) as first:
        to, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", first.port)
        pace = Pace(rate, seconds)
        used = _both(first, second)
        await pace.run(lambda due: to.write(b"".join(map(data, due))))
        async with asyncio.timeout(10):
            while done[0] < pace.number * PAYLOAD:
                await asyncio.sleep(0.01)
        used = _both(first, second) - used
        to.close()
    server.close()
    return round(used / pace.number * 1e6, 1)


def _both(first: Floor, second: Floor) -> float:
    return first.used() + second.used()


async def flood(cluster: Cluster, clients: int, seconds: float, outstanding: int = 2000) -> dict[str, Any]:
    """Pushes through one PushStream as fast as they go, a fixed number outstanding."""
    opened = await connect(clients, spread(cluster))
    async with grpc.aio.insecure_channel(cluster.grpc) as channel:
        stream = router_pb2_grpc.RouterStub(channel).PushStream()  # type: ignore[no-untyped-call]
        sent = seen = written = 0

        async def send(number: int) -> None:
            nonlocal sent
            pushes = []
            for n in range(sent, sent + number):
                target = pb.Target(user=f"user-{n % clients}")
                pushes.append(pb.PushRequest(target=target, event="e", data=data(n), push_id=f"f{n}"))
            sent += number
            for start in range(0, number, 256):
                await stream.write(pb.PushStreamRequest(pushes=pushes[start : start + 256]))

        before, began = cluster.used(), time.monotonic()
        await send(outstanding)
        while time.monotonic() - began < seconds:
            message = await stream.read()
            seen += len(message.reports)
            written += sum(report.counts.get("WRITTEN", 0) for report in message.reports)
            await send(len(message.reports))
        took, after = time.monotonic() - began, cluster.used()
        stream.cancel()
    close(opened)
    used = per(before, after, max(1, seen))
    return {
        "pushes_per_s": round(seen / took),
        "per_router_cpu_s": round(1e6 / used["routers"]) if used["routers"] else None,
        "cpu_us": used,
        "valid": written == seen,
    }
