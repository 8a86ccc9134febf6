"""Shell: the API over gRPC, with health and reflection."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from homing.v1 import router_pb2, router_pb2_grpc
from observability.traceparent import from_headers
from router.api.calls import Calls
from router.api.push_stream import PushStreamCall
from router.push import Refused

log = logging.getLogger(__name__)

Q = TypeVar("Q")
A = TypeVar("A")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
SERVICE = router_pb2.DESCRIPTOR.services_by_name["Router"].full_name
MAX_MESSAGE = 16 * 1024 * 1024  # bytes; well above max_data, so that it is we who say which field is too large


class RouterServicer(router_pb2_grpc.RouterServicer):
    """Hands each call to `Calls`; a refusal becomes a status whose trailing metadata names the field."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def Push(self, request: router_pb2.PushRequest, context: Context) -> router_pb2.PushResponse:
        given = _trace_of(context)
        if given:
            request.traceparent = given
        return await _answer(self._calls.push, request, context)

    async def PushStream(self, requests: AsyncIterator[router_pb2.PushStreamRequest], context: Context) -> None:
        call = PushStreamCall(self._calls.settings, self._calls.delivery, self._calls.tracer, _trace_of(context))
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read_all(requests, call))
            while (reports := await call.reports()) is not None:
                await context.write(reports)
            reading.cancel()

    async def Locate(self, request: router_pb2.LocateRequest, context: Context) -> router_pb2.LocateResponse:
        return await _answer(self._calls.locate, request, context)

    async def Presence(self, request: router_pb2.PresenceRequest, context: Context) -> router_pb2.PresenceResponse:
        return await _answer(self._calls.presence, request, context)

    async def Join(self, request: router_pb2.JoinRequest, context: Context) -> router_pb2.JoinResponse:
        return await _answer(self._calls.join, request, context)

    async def Leave(self, request: router_pb2.LeaveRequest, context: Context) -> router_pb2.LeaveResponse:
        return await _answer(self._calls.leave, request, context)

    async def Disconnect(
        self, request: router_pb2.DisconnectRequest, context: Context
    ) -> router_pb2.DisconnectResponse:
        return await _answer(self._calls.disconnect, request, context)

    async def Reply(self, request: router_pb2.ReplyRequest, context: Context) -> router_pb2.ReplyResponse:
        return await _answer(self._calls.reply, request, context)

    async def Watch(self, request: router_pb2.WatchRequest, context: Context) -> None:
        try:
            changes = self._calls.watch(request)
        except Refused as refused:
            await _refuse(refused, context)
            raise
        async for change in changes:
            await context.write(change)


def _trace_of(context: Context) -> str:
    """The caller's trace, from the call's metadata."""
    metadata = dict(context.invocation_metadata() or ())
    return from_headers(str(metadata.get("traceparent", "")), str(metadata.get("x-trace-id", "")))


async def _read_all(requests: AsyncIterator[router_pb2.PushStreamRequest], call: PushStreamCall) -> None:
    async for request in requests:
        call.take(request)
        await call.wait_room()
    call.close()


async def _answer(call: Callable[[Q], Awaitable[A]], request: Q, context: Context) -> A:
    try:
        return await call(request)
    except Refused as refused:
        await _refuse(refused, context)
        raise  # abort has raised already; this is for readers and type checkers
    except Exception:
        log.exception("a call failed by a fault of ours")
        await _refuse(Refused("INTERNAL", "the router failed; it is not your fault"), context)
        raise


async def _refuse(refused: Refused, context: Context) -> None:
    trailing = [("homing-field", refused.field)] if refused.field else []
    if refused.retry_after is not None:
        trailing.append(("retry-after-ms", str(round(refused.retry_after * 1000))))
    await context.abort(grpc.StatusCode[refused.code], str(refused), trailing_metadata=tuple(trailing))


class GrpcApi:
    """The listening server."""

    def __init__(self, calls: Calls) -> None:
        self._server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 0)]
        )
        self._health = health.aio.HealthServicer()
        router_pb2_grpc.add_RouterServicer_to_server(RouterServicer(calls), self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

    async def listen(self, address: str) -> str:
        """Start serving, not yet healthy; the answer is the real host:port. OSError when the port is taken."""
        host, _, _ = address.rpartition(":")
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from None
        await self._server.start()
        await self.set_ready(False)
        return f"{host}:{port}"

    async def set_ready(self, ready: bool) -> None:
        """What the health service says."""
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", SERVICE):
            await self._health.set(service, status)

    async def close(self, grace: float) -> None:
        """Finish calls under way, at most `grace` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)
