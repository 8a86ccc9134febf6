"""Shell: the API over gRPC, with health and reflection, on the HTTP/2 of `runtime.grpc_wire`
(docs/decisions/0007-all-grpc-on-streams.md).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from homing.v1 import router_pb2
from router.api import health, reflection
from router.api.calls import Calls
from router.api.grpc_calls import PushStreamHandler, RefusedCall, ServerStreamingCall, UnaryCall, traceparent_of
from router.api.unread_reports import UnreadReports
from router.caller import Authenticate, Caller
from router.push import CallRefused
from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.flow import DEFAULT_WINDOW, Http2Limits
from runtime.grpc_wire.server import GrpcServer, MakeStreamHandler
from runtime.grpc_wire.status import INVALID_ARGUMENT, StreamEnded
from runtime.process.addresses import join_address
from runtime.process.background_tasks import BackgroundTasks

SERVICE = router_pb2.DESCRIPTOR.services_by_name["Router"].full_name
MAX_MESSAGE = 16 * 1024 * 1024  # bytes; well above max_data, so that a field that is too large is named
LIMITS = Http2Limits(  # of one connection: 62 MiB by its streams' windows, 16 by larger messages, 16 by answers
    stream_window=DEFAULT_WINDOW,
    unfinished=MAX_MESSAGE,
    max_frame_size=16 * 1024,  # the least that HTTP/2 allows, so that every part of a large message is little work
    max_concurrent_streams=1000,
    max_message_size=MAX_MESSAGE,
    max_header_list=32 * 1024,
    max_unsent=16 * 1024 * 1024,
)

Q = TypeVar("Q", bound=Message)


class GrpcApi:
    """The gRPC listener of the API."""

    def __init__(self, calls: Calls, authenticate: Authenticate) -> None:
        """`authenticate`: the caller of each call, from its `Call`."""
        self._calls = calls
        self._authenticate = authenticate
        self._unary_tasks = BackgroundTasks()
        self._watch_tasks = BackgroundTasks()  # calls that only their caller ends
        self._push_streams: set[PushStreamHandler] = set()
        self._unread: WeakKeyDictionary[object, UnreadReports] = WeakKeyDictionary()  # by connection
        self._health = health.Health(SERVICE)
        self._reflection = reflection.Reflection(SERVICE, health.SERVICE, reflection.SERVICE)
        self._server = GrpcServer(self._paths(), LIMITS)

    def _paths(self) -> dict[str, MakeStreamHandler]:
        calls = self._calls
        router: dict[str, MakeStreamHandler] = {
            "Push": self._unary(router_pb2.PushRequest, self._push),
            "PushStream": self._push_stream,
            "Locate": self._unary(router_pb2.LocateRequest, self._as_caller(calls.locate)),
            "Presence": self._unary(router_pb2.PresenceRequest, self._as_caller(calls.presence)),
            "Join": self._unary(router_pb2.JoinRequest, self._as_caller(calls.join)),
            "Leave": self._unary(router_pb2.LeaveRequest, self._as_caller(calls.leave)),
            "Disconnect": self._unary(router_pb2.DisconnectRequest, self._as_caller(calls.disconnect)),
            "Reply": self._unary(router_pb2.ReplyRequest, self._as_caller(calls.reply)),
            "Watch": self._server_streaming(router_pb2.WatchRequest, self._watch),
        }
        return {f"/{SERVICE}/{name}": serve for name, serve in router.items()} | {
            f"/{health.SERVICE}/Check": self._unary(health_pb2.HealthCheckRequest, self._health.check),
            f"/{health.SERVICE}/Watch": self._health.watch,
            f"/{reflection.SERVICE}/ServerReflectionInfo": lambda call: ReflectionHandler(call, self._reflection),
        }

    # Kinds of calls

    def _unary(self, kind: type[Q], respond: Callable[[Q, Call], Awaitable[Message]]) -> MakeStreamHandler:
        return lambda call: UnaryCall(call, kind, partial(_send_response, respond), self._unary_tasks)

    def _server_streaming(
        self, kind: type[Q], responses: Callable[[Q, Call], AsyncIterator[Message]]
    ) -> MakeStreamHandler:
        return lambda call: ServerStreamingCall(call, kind, responses, self._watch_tasks)

    def _as_caller(self, method: Callable[[Caller, Q], Awaitable[Message]]) -> Callable[[Q, Call], Awaitable[Message]]:
        return lambda request, call: method(self._authenticate(call), request)

    async def _push(self, request: router_pb2.PushRequest, call: Call) -> Message:
        request.traceparent = traceparent_of(call) or request.traceparent
        return await self._calls.push(self._authenticate(call), request)

    def _watch(self, request: router_pb2.WatchRequest, call: Call) -> AsyncIterator[Message]:
        return self._calls.watch(self._authenticate(call), request)

    def _push_stream(self, call: Call) -> StreamHandler:
        try:
            caller = self._authenticate(call)
        except CallRefused as refused:
            return RefusedCall(call, refused)
        unread = self._unread.setdefault(call.connection_key, UnreadReports())
        open_stream = partial(self._calls.push_stream, caller, traceparent_of(call), unread)
        stream = PushStreamHandler(call, open_stream, self._push_streams.discard, unread)
        self._push_streams.add(stream)
        return stream

    # Serving

    async def listen(self, host: str, port: int) -> str:
        """Start serving, not ready yet; port 0 takes a free one. The result is host:port. Raises OSError."""
        return join_address(host, await self._server.listen(host, port))

    def set_ready(self, ready: bool) -> None:
        """The state of the health service."""
        self._health.set_ready(ready)

    async def close(self, grace: float) -> None:
        """Accept no calls, wait for open ones at most `grace` seconds, then end the rest with UNAVAILABLE."""
        self._health.close()
        for stream in list(self._push_streams):
            stream.drain()
        await self._watch_tasks.close()
        await self._server.drain(grace)
        await self._unary_tasks.close()
        await self._server.close()


class ReflectionHandler:
    """One reflection stream: each request is answered at once."""

    def __init__(self, call: Call, reflection: reflection.Reflection) -> None:
        self._call = call
        self._reflection = reflection

    def on_message(self, message: bytes) -> None:
        try:
            request = reflection_pb2.ServerReflectionRequest.FromString(message)
        except DecodeError:
            raise StreamEnded(INVALID_ARGUMENT, "not a ServerReflectionRequest") from None
        self._call.send(self._reflection.answer(request).SerializeToString())
        if not self._call.writable:
            self._call.pause_reading()

    def on_writable(self) -> None:
        self._call.resume_reading()

    def on_half_close(self) -> None:
        self._call.end()

    def on_end(self, how: StreamEnded) -> None:
        """Nothing is kept."""


async def _send_response(respond: Callable[[Q, Call], Awaitable[Message]], request: Q, call: Call) -> None:
    response = await respond(request, call)
    call.send(response.SerializeToString())
    call.end()
