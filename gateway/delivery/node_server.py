"""Shell: carries the node port over gRPC (`streams`)."""

from google.protobuf.message import DecodeError

from gateway.delivery.router_endpoint import RouterEndpoint, WrongIncarnation
from gateway.delivery.router_stream import RouterStream
from homing.internal.v1 import node_pb2
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.messages import LARGEST
from runtime.grpc_wire.server import Server
from runtime.grpc_wire.status import FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT, StreamEnded
from runtime.grpc_wire.write_batcher import WriteBatcher

PATH = "/homing.internal.v1.Node/Stream"
LINGER = 0.004  # seconds that an answer waits for company, if its caller has other pushes under way


class NodeServer:
    """The listening server of the node port."""

    def __init__(self, port: RouterEndpoint) -> None:
        self._server = Server({PATH: lambda call: RouterStreamHandler(port, call)})

    async def listen(self, host: str, port: int) -> int:
        """Open the port (0: a free one); the answer is its number. Raises OSError when it is in use."""
        return await self._server.listen(host, port)

    async def close(self) -> None:
        """End every stream."""
        await self._server.close(0.2)


class RouterStreamHandler:
    """One router's stream, until either side ends it. Until hello has come there is no link."""

    def __init__(self, port: RouterEndpoint, call: Call) -> None:
        self._port = port
        self._call = call
        self._link: RouterStream | None = None
        self._finished = False
        self._batcher = WriteBatcher(self._write, LINGER)

    def on_message(self, message: bytes) -> None:
        try:
            heard = node_pb2.RouterMessage.FromString(message)
        except DecodeError:
            raise StreamEnded(INTERNAL, "a message that is no RouterMessage") from None
        if self._link is None:
            self._begin(heard)
            return
        self._port.read(self._link, heard)
        if not self._link.room:
            self._call.stop_reading()

    def _begin(self, first: node_pb2.RouterMessage) -> None:
        if not first.HasField("hello"):
            raise StreamEnded(INVALID_ARGUMENT, "the first message must be hello")
        try:
            link = self._link = self._port.open(first)
        except WrongIncarnation as error:
            raise StreamEnded(FAILED_PRECONDITION, str(error)) from None
        link.request_write, link.on_room = self._batcher.request_write, self._call.resume_reading
        self._batcher.attach(self._call)
        self._batcher.request_write()

    def _write(self, call: Call) -> None:
        assert self._link is not None
        for part in _in_parts(self._link.take()):
            if part:
                call.send(part)
        if self._finished and not self._link.open_calls:
            call.end()

    def on_writable(self) -> None:
        self._batcher.resume()

    def on_half_close(self) -> None:
        """The router says no more: what it has asked is answered still."""
        self._finished = True
        if self._link is None:
            self._call.end(INVALID_ARGUMENT, "the first message must be hello")
        self._batcher.request_write()

    def on_end(self, how: StreamEnded) -> None:
        self._batcher.attach(None)
        if self._link is not None:
            link, self._link = self._link, None
            self._port.close(link)


def _in_parts(message: node_pb2.NodeMessage) -> list[bytes]:
    """Answers with long lists, gathered while a router did not read, may be more than one message can carry."""
    whole = message.SerializeToString()
    if len(whole) <= LARGEST:
        return [whole]
    earlier = node_pb2.NodeMessage()  # answers may leave before everything else, never after what says how far we are
    for mine, first in (message.pushes, earlier.pushes), (message.handled.answers, earlier.handled.answers):
        half = len(mine) // 2
        first.extend(mine[:half])
        del mine[:half]
    if not earlier.pushes and not earlier.handled.answers:
        return [whole]
    if message.HasField("hello"):
        earlier.hello.CopyFrom(message.hello)
        message.ClearField("hello")
    return _in_parts(earlier) + _in_parts(message)
