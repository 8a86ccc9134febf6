"""Shell: the API over gRPC, with health and reflection, served on our own HTTP/2 (decision 0007)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from homing.v1 import router_pb2
from router.api import health, reflection
from router.api.calls import Calls
from router.api.grpc_calls import PushStreamHandler, ServerStreamingCall, UnaryCall, trace_of
from router.api.push_stream import PushStreamCall
from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.server import Serve, Server
from runtime.grpc_wire.status import INVALID_ARGUMENT, StreamEnded
from runtime.process.running import split_address
from runtime.process.tasks import Tasks

SERVICE = router_pb2.DESCRIPTOR.services_by_name["Router"].full_name
LIMITS = Http2Limits(
    stream_window=1024 * 1024,
    streams=1000,
    message=16 * 1024 * 1024,  # well above max_data, so that it is we who say which field is too large
)

Q = TypeVar("Q", bound=Message)


class GrpcApi:
    """The listening server."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._tasks = Tasks()
        self._endless = Tasks()  # calls that only their caller ends
        self._streams: set[PushStreamHandler] = set()
        self._health = health.Health(SERVICE)
        self._reflection = reflection.Reflection(SERVICE, health.SERVICE, reflection.SERVICE)
        self._server = Server(self._paths(), LIMITS)

    def _paths(self) -> dict[str, Serve]:
        calls = self._calls
        router: dict[str, Serve] = {
            "Push": self._one(router_pb2.PushRequest, self._push),
            "PushStream": self._push_stream,
            "Locate": self._one(router_pb2.LocateRequest, self._plain(calls.locate)),
            "Presence": self._one(router_pb2.PresenceRequest, self._plain(calls.presence)),
            "Join": self._one(router_pb2.JoinRequest, self._plain(calls.join)),
            "Leave": self._one(router_pb2.LeaveRequest, self._plain(calls.leave)),
            "Disconnect": self._one(router_pb2.DisconnectRequest, self._plain(calls.disconnect)),
            "Reply": self._one(router_pb2.ReplyRequest, self._plain(calls.reply)),
            "Watch": self._many(router_pb2.WatchRequest, calls.watch),
        }
        health_of, question = health_pb2.HealthCheckRequest, reflection.SERVICE
        return {f"/{SERVICE}/{name}": serve for name, serve in router.items()} | {
            f"/{health.SERVICE}/Check": self._one(health_of, self._plain(self._health.check)),
            f"/{health.SERVICE}/Watch": self._many(health_of, self._health.watch),
            f"/{question}/ServerReflectionInfo": lambda call: _ReflectionListener(call, self._reflection),
        }

    # The shapes of calls --------------------------------------------------------------------------------------------

    def _one(self, kind: type[Q], answer: Callable[[Q, Call], Awaitable[None]]) -> Serve:
        return lambda call: UnaryCall(call, kind, answer, self._tasks)

    def _many(self, kind: type[Q], answers: Callable[[Q], AsyncIterator[Message]]) -> Serve:
        return lambda call: ServerStreamingCall(call, kind, answers, self._endless)

    def _plain(self, carry_out: Callable[[Q], Awaitable[Message]]) -> Callable[[Q, Call], Awaitable[None]]:
        return partial(_answer, carry_out)

    async def _push(self, request: router_pb2.PushRequest, call: Call) -> None:
        given = trace_of(call)
        if given:
            request.traceparent = given
        await _answer(self._calls.push, request, call)

    def _push_stream(self, call: Call) -> StreamHandler:
        calls = self._calls
        pushes = PushStreamCall(calls.settings, calls.delivery, calls.tracer, trace_of(call))
        stream = PushStreamHandler(call, pushes, self._streams.discard)
        self._streams.add(stream)
        return stream

    # Serving --------------------------------------------------------------------------------------------------------

    async def listen(self, address: str) -> str:
        """Start serving, not yet healthy; the answer is the real host:port. OSError when the port is taken."""
        host, port = split_address(address, "router.grpc")
        return f"{address.rpartition(':')[0]}:{await self._server.listen(host, port)}"

    def set_ready(self, ready: bool) -> None:
        """What the health service says."""
        self._health.set(ready)

    async def close(self, grace: float) -> None:
        """Take no more, finish calls under way, at most `grace` seconds, then end what is left as UNAVAILABLE."""
        self._health.set(False)
        await asyncio.sleep(0)  # watchers say so before they end
        for stream in list(self._streams):
            stream.leave()
        await self._endless.close()
        await self._server.finish(grace)
        await self._tasks.close()
        await self._server.close()


class _ReflectionListener:
    """A stream of questions, each answered at once."""

    def __init__(self, call: Call, answers: reflection.Reflection) -> None:
        self._call = call
        self._answers = answers

    def on_message(self, message: bytes) -> None:
        try:
            question = reflection_pb2.ServerReflectionRequest.FromString(message)
        except DecodeError:
            raise StreamEnded(INVALID_ARGUMENT, "not a ServerReflectionRequest") from None
        self._call.send(self._answers.answer(question).SerializeToString())
        if not self._call.writable:
            self._call.stop_reading()

    def on_writable(self) -> None:
        self._call.resume_reading()

    def on_half_close(self) -> None:
        self._call.end()

    def on_end(self, how: StreamEnded) -> None:
        """Nothing is kept."""


async def _answer(carry_out: Callable[[Q], Awaitable[Message]], request: Q, call: Call) -> None:
    response = await carry_out(request)
    call.send(response.SerializeToString())
    call.end()
