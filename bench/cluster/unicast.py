"""What a push to one user costs: through PushStream, one call each, and as fast as it goes."""

import asyncio
from typing import Any

import grpc.aio

from bench.cluster.load import histogram, loops
from bench.cluster.load.crowds import Crowds, crowd_of
from bench.cluster.load.outcomes import compare
from bench.cluster.load.pace import Pace
from bench.cluster.load.pushers import kept_up, pusher, report_latencies
from bench.cluster.load.tally import data
from bench.cluster.rig import Cluster, Floor, floor, per
from bench.cluster.targets import PAYLOAD
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

CONNECT_RATE = 500.0  # a second, while nothing is measured
Figures = dict[str, Any]


def unicast(cluster: Cluster, clients: int, rate: float, seconds: float, unary: bool, trace: str = "") -> Figures:
    """CPU and latency of a push to one user, through PushStream or one call each.

    `trace`: "", or traceparents that are "sampled" or "unsampled".
    """
    with crowd_of(cluster, clients) as crowd:
        crowd.open_all(clients, CONNECT_RATE)
        if unary:
            figures = loops.run(_one_call_each(cluster, crowd, clients, rate, seconds))
        else:
            figures = _streamed(cluster, crowd, clients, rate, seconds, trace)
    used = figures["cpu_us"]
    figures["cluster_us"] = round(used["gateways"] + used["routers"] + used["etcd"], 1)
    figures["floor_us"] = loops.run(_relay_floor(rate, min(seconds, 3.0)))
    return figures


def _streamed(cluster: Cluster, crowd: Crowds, clients: int, rate: float, seconds: float, trace: str = "") -> Figures:
    with pusher(cluster) as pushing:
        before = cluster.used()
        pushing.begin(target="user", names="user-%d", count=clients, rate=rate, seconds=seconds, trace=trace)
        told = pushing.wait(seconds)
        after = cluster.used()
        crowd.wait(lambda counts: counts.pushes >= told["sent"], 1.0)
        judged = compare(pushing.codes(), crowd.received(0))
    counts = crowd.counts()
    written = told["outcomes"].get("WRITTEN", 0)
    return {
        "pushes": told["number"],
        "written": written,
        "received": counts.pushes,
        **({"refused": told["errors"]} if told["errors"] else {}),
        **judged,
        "cpu_us": per(before, after, max(1, told["sent"])),
        **histogram.quantiles(counts.latencies[0]),
        **report_latencies(told),
        "valid": kept_up(told) and written == told["number"] == counts.pushes,
    }


async def _one_call_each(cluster: Cluster, crowd: Crowds, clients: int, rate: float, seconds: float) -> Figures:
    """These calls come from this process, by grpc.aio: the generator's share of the CPU is theirs."""
    pace = Pace(rate, seconds)
    calls: list[asyncio.Task[int]] = []
    async with grpc.aio.insecure_channel(cluster.grpc) as channel:
        stub = router_pb2_grpc.RouterStub(channel)  # type: ignore[no-untyped-call]

        async def one(n: int) -> int:
            target = pb.Target(user=f"user-{n % clients}")
            payload = data(0, n, pace.due_us(n), PAYLOAD)
            request = pb.PushRequest(target=target, event="e", data=payload, push_id=f"b{n}")
            try:
                return int((await stub.Push(request)).report.counts.get("WRITTEN", 0))
            except grpc.aio.AioRpcError:
                return 0  # a push that was not written makes the run invalid

        before = cluster.used()
        await pace.run(lambda due: calls.extend(asyncio.ensure_future(one(n)) for n in due))
        written = sum(await asyncio.gather(*calls))
        after = cluster.used()
    await asyncio.sleep(0.2)
    counts = crowd.counts()
    return {
        "pushes": pace.number,
        "written": written,
        "received": counts.pushes,
        "cpu_us": per(before, after, pace.number),
        **histogram.quantiles(counts.latencies[0]),
        "valid": pace.valid and written == pace.number == counts.pushes,
    }


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
        await pace.run(lambda due: to.write(b"".join(data(0, n, 0, PAYLOAD) for n in due)))
        async with asyncio.timeout(10):
            while done[0] < pace.number * PAYLOAD:
                await asyncio.sleep(0.01)
        used = _both(first, second) - used
        to.close()
    server.close()
    return round(used / pace.number * 1e6, 1)


def _both(first: Floor, second: Floor) -> float:
    return first.used() + second.used()


def flood(cluster: Cluster, clients: int, seconds: float, outstanding: int = 2000) -> Figures:
    """Pushes through one PushStream as fast as they go, a fixed number outstanding."""
    with crowd_of(cluster, clients) as crowd, pusher(cluster) as pushing:
        crowd.open_all(clients, CONNECT_RATE)
        before = cluster.used()
        names = {"target": "user", "names": "user-%d", "count": clients}
        pushing.begin(**names, rate=1.0, seconds=seconds, outstanding=outstanding)  # type: ignore[arg-type]
        told = pushing.wait(seconds)
        after = cluster.used()
    used = per(before, after, max(1, told["reported"]))
    return {
        "pushes_per_s": round(told["reported"] / seconds),
        "per_router_cpu_s": round(1e6 / used["routers"]) if used["routers"] else None,
        "cpu_us": used,
        "valid": not told["ended"] and told["outcomes"].get("WRITTEN", 0) == told["reported"],
    }
