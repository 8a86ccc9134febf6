"""What an honest call costs a server: its CPU for a health check, a unary push, and a push on a stream.

    python -m bench.hostile.costs PORT PID

grpcio's pushes go nowhere; those of our router pass its table and a gateway. The health check is the same on both.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.cluster.process_usage import cpu_seconds
from bench.hostile.servers import PUSH_USER
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

CALLS = 3000
AT_ONCE = 8  # unary calls
OUTSTANDING = 64  # pushes on the stream
Costs = dict[str, float]


async def costs(port: int, pid: int, calls: int = CALLS) -> Costs:
    """Microseconds of the server's CPU, by kind of call."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        health, router = health_pb2_grpc.HealthStub(channel), router_pb2_grpc.RouterStub(channel)  # type: ignore[no-untyped-call]
        kinds: dict[str, Callable[[int], Awaitable[None]]] = {
            "health": lambda count: _unary(lambda: health.Check(health_pb2.HealthCheckRequest()), count),
            "unary push": lambda count: _unary(lambda: router.Push(_push("")), count),
            "stream push": lambda count: _stream(router, count),
        }
        found = {}
        for name, make_calls in kinds.items():
            await make_calls(calls // 10)  # warm
            before = cpu_seconds(pid)
            await make_calls(calls)
            found[name] = round((cpu_seconds(pid) - before) / calls * 1e6, 1)
        return found


def _push(push_id: str) -> pb.PushRequest:
    return pb.PushRequest(target=pb.Target(user=PUSH_USER), event="e", data=b'{"text": "hi"}', push_id=push_id)


async def _unary(call: Callable[[], Awaitable[object]], count: int) -> None:
    async def one_after_another() -> None:
        for _ in range(count // AT_ONCE):
            await call()

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


async def _stream(router: router_pb2_grpc.RouterStub, count: int) -> None:
    """One push a message, `OUTSTANDING` of them without a report."""
    allowed = asyncio.Semaphore(OUTSTANDING)
    series = secrets.token_hex(4)

    async def requests() -> AsyncIterator[pb.PushStreamRequest]:
        for number in range(count):
            await allowed.acquire()
            yield pb.PushStreamRequest(pushes=[_push(f"{series}-{number}")])

    async for response in router.PushStream(requests()):
        for _ in response.reports:
            allowed.release()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(costs(int(sys.argv[1]), int(sys.argv[2])))))
