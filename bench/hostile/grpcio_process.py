"""The comparator: a grpc.aio server with the router's services and limits, and nothing behind them.

    python -m bench.hostile.grpcio_process

It prints its port. A push is answered at once with a report of one WRITTEN delivery.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["Router"].full_name
OPTIONS = [  # as router/api/grpc_api.py
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
]


class RouterServicer(router_pb2_grpc.RouterServicer):
    """Answers pushes; the other calls are UNIMPLEMENTED, but for Watch, which sends one change."""

    async def Push(self, request: pb.PushRequest, context: object) -> pb.PushResponse:
        return pb.PushResponse(report=_report(request))

    async def PushStream(
        self, requests: AsyncIterator[pb.PushStreamRequest], context: object
    ) -> AsyncIterator[pb.PushStreamResponse]:
        async for request in requests:
            yield pb.PushStreamResponse(reports=[_report(push) for push in request.pushes])

    async def Watch(self, request: pb.WatchRequest, context: object) -> AsyncIterator[pb.WatchResponse]:
        yield pb.WatchResponse(synced=True)
        await asyncio.Event().wait()


def _report(push: pb.PushRequest) -> pb.PushReport:
    delivery = pb.Delivery(session=1, user=push.target.user, node="none", outcome=pb.Delivery.WRITTEN)
    return pb.PushReport(push_id=push.push_id, counts={"WRITTEN": 1}, deliveries=[delivery], nodes_contacted=1)


async def serve() -> None:
    """Serve until killed."""
    server = grpc.aio.server(options=OPTIONS)
    router_pb2_grpc.add_RouterServicer_to_server(RouterServicer(), server)  # type: ignore[no-untyped-call]
    servicer: Any = health.aio.HealthServicer()
    for service in ("", SERVICE):
        await servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection([SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
