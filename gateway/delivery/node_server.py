"""Shell: serves the node port over gRPC (`runtime.grpc_wire`)."""

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from gateway.delivery.router_endpoint import RouterEndpoint, WrongIncarnation
from gateway.delivery.router_stream import RouterStream
from homing.internal.v1 import node_pb2
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.messages import MAX_MESSAGE_SIZE
from runtime.grpc_wire.server import GrpcServer, MakeStreamHandler
from runtime.grpc_wire.shared_secret import SharedSecret
from runtime.grpc_wire.status import FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT, StreamEnded
from runtime.grpc_wire.write_batcher import WriteBatcher

PATH = "/homing.internal.v1.Node/Stream"
# Of one connection: a router opens one stream, another node one for each poll that it relays, on as many connections as
# that needs. What a connection may make us hold grows with its streams.
LIMITS = Http2Limits(max_concurrent_streams=256)
LINGER = 0.004  # seconds that an answer waits for others, if its caller has other pushes in flight


class NodeServer:
    """The listening server of the node port."""

    def __init__(
        self, endpoint: RouterEndpoint, secret: SharedSecret, methods: Mapping[str, MakeStreamHandler]
    ) -> None:
        """`methods`: what other nodes may call."""
        routers: dict[str, MakeStreamHandler] = {PATH: lambda call: RouterStreamHandler(endpoint, call)}
        self._server = GrpcServer(secret.guard({**routers, **methods}), LIMITS)

    async def listen(self, host: str, port: int) -> int:
        """Open the port (0: a free one); the answer is its number. Raises OSError when it is in use."""
        return await self._server.listen(host, port)

    async def close(self) -> None:
        """End every stream."""
        await self._server.close(0.2)


class RouterStreamHandler:
    """One router's stream on the wire, until either side ends it. There is no `RouterStream` before its hello."""

    def __init__(self, endpoint: RouterEndpoint, call: Call) -> None:
        self._endpoint = endpoint
        self._call = call
        self._stream: RouterStream | None = None
        self._half_closed = False
        self._batcher = WriteBatcher(self._write, LINGER)

    def on_message(self, message: bytes) -> None:
        try:
            received = node_pb2.RouterMessage.FromString(message)
        except DecodeError:
            raise StreamEnded(INTERNAL, "a message that is no RouterMessage") from None
        if self._stream is None:
            self._begin(received)
            return
        self._endpoint.on_message(self._stream, received)
        if not self._stream.has_room:
            self._call.pause_reading()

    def _begin(self, first: node_pb2.RouterMessage) -> None:
        if not first.HasField("hello"):
            raise StreamEnded(INVALID_ARGUMENT, "the first message must be hello")
        try:
            self._stream = self._endpoint.open(first, self._batcher.request_write, self._call.resume_reading)
        except WrongIncarnation as error:
            raise StreamEnded(FAILED_PRECONDITION, str(error)) from None
        self._batcher.attach(self._call)
        self._batcher.request_write()

    def _write(self, call: Call) -> None:
        assert self._stream is not None
        for part in _in_parts(self._stream.take()):
            if part:
                call.send(part)
        if self._half_closed and not self._stream.open_calls:
            call.end()

    def on_writable(self) -> None:
        self._batcher.resume()

    def on_half_close(self) -> None:
        """The router sends no more: its open calls are still answered."""
        self._half_closed = True
        if self._stream is None:
            self._call.end(INVALID_ARGUMENT, "the first message must be hello")
        self._batcher.request_write()

    def on_end(self, how: StreamEnded) -> None:
        self._batcher.attach(None)
        if self._stream is not None:
            stream, self._stream = self._stream, None
            self._endpoint.close(stream)


def _in_parts(message: node_pb2.NodeMessage) -> list[bytes]:
    """Answers with long lists, gathered while a router did not read, may be more than one message can carry."""
    whole = message.SerializeToString()
    if len(whole) <= MAX_MESSAGE_SIZE:
        return [whole]
    earlier = node_pb2.NodeMessage()  # answers may leave before everything else, never after what reports progress
    for later, first in (message.pushes, earlier.pushes), (message.handled.answers, earlier.handled.answers):
        half = len(later) // 2
        first.extend(later[:half])
        del later[:half]
    if not earlier.pushes and not earlier.handled.answers:
        return [whole]
    if message.HasField("hello"):
        earlier.hello.CopyFrom(message.hello)
        message.ClearField("hello")
    return _in_parts(earlier) + _in_parts(message)
