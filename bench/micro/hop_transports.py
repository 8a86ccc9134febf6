"""The candidates for the hop's transport: each has a server that answers pushes, and a client that sends pushes.

All of them batch alike: items added during a write leave in the next message. Where a write can be awaited (grpclib,
grpc.aio) a task awaits it; where the kernel's buffer is visible (TCP, runtime.grpc_wire) a message leaves at the end of
the loop's turn, unless the previous message is still in the buffer.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc.aio
import grpclib.client
import grpclib.const
import grpclib.exceptions
import grpclib.server

from homing.internal.v1 import node_pb2, node_pb2_grpc
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.client import dial
from runtime.grpc_wire.server import GrpcServer
from runtime.grpc_wire.status import StreamEnded

PATH = "/homing.internal.v1.Node/Stream"
ServicerContext: TypeAlias = "grpc.aio.ServicerContext[node_pb2.RouterMessage, node_pb2.NodeMessage]"
NewMessage = Callable[[], Any]  # a RouterMessage or a NodeMessage
OnAnswers = Callable[[node_pb2.NodeMessage], None]


class MessageBatcher:
    """Collects items for the next message. Subclasses decide when it is written."""

    def __init__(self, new_message: NewMessage) -> None:
        self.new_message = new_message
        self.message = new_message()
        self.messages = 0  # taken so far

    def add(self, item: node_pb2.Push | node_pb2.PushAnswer) -> None:
        """Add a push, or the answer to a push."""
        self.message.pushes.append(item)
        self.request_write()

    def take(self) -> Any:  # noqa: ANN401 - what `new_message` makes
        """The collected message; a new one begins."""
        message, self.message = self.message, self.new_message()
        self.messages += 1
        return message

    def request_write(self) -> None:
        raise NotImplementedError


class TurnBatcher(MessageBatcher):
    """Writes at the end of the loop's turn, unless the previous message is still in the buffer."""

    def __init__(
        self, new_message: NewMessage, write: Callable[[bytes], None], is_writable: Callable[[], bool]
    ) -> None:
        super().__init__(new_message)
        self._write, self._is_writable = write, is_writable
        self._scheduled = False
        self._loop = asyncio.get_running_loop()

    def request_write(self) -> None:
        if not self._scheduled and self._is_writable():
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        self._write(self.take().SerializeToString())

    def on_writable(self) -> None:
        if self.message.pushes:
            self.request_write()


class TaskBatcher(MessageBatcher):
    """A task awaits each write."""

    def __init__(self, new_message: NewMessage, write: Callable[[Any], Any]) -> None:
        super().__init__(new_message)
        self._write = write
        self._requested = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def request_write(self) -> None:
        self._requested.set()

    async def _run(self) -> None:
        while True:
            await self._requested.wait()
            self._requested.clear()
            await self._write(self.take())

    def close(self) -> None:
        self._task.cancel()


def answer_pushes(message: node_pb2.RouterMessage, batcher: MessageBatcher) -> None:
    """Answer each push as a gateway does: done, one session, written."""
    for push in message.pushes:
        answer = node_pb2.PushAnswer(call=push.call, verdict=node_pb2.DONE)
        answer.counts.add(outcome=2, sessions=1)
        answer.deliveries.add(session=push.receivers.sessions.sids[0], user="user-1", outcome=2, latency_us=400)
        batcher.add(answer)


class TransportCandidate:
    """One transport."""

    name: str

    async def serve(self) -> int:
        """Listen. Returns the port."""
        raise NotImplementedError

    async def connect(self, port: int, on_answers: OnAnswers) -> MessageBatcher:
        """Open one long-lived stream. Returns the batcher of its pushes."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop serving."""


# No transport: the cost of the load generator itself -----------------------------------------------------------------


class ImmediateBatcher(MessageBatcher):
    """Answers each push at once."""

    def __init__(self, on_answers: OnAnswers) -> None:
        super().__init__(node_pb2.RouterMessage)
        self._on_answers = on_answers

    def request_write(self) -> None:
        call = self.take().pushes[0].call
        self._on_answers(node_pb2.NodeMessage(pushes=[node_pb2.PushAnswer(call=call)]))


class NoTransport(TransportCandidate):
    """The load generator alone."""

    name = "generator alone"

    async def serve(self) -> int:
        return 0

    async def connect(self, port: int, on_answers: OnAnswers) -> MessageBatcher:
        return ImmediateBatcher(on_answers)


# The baseline --------------------------------------------------------------------------------------------------------


class LengthPrefixedProtocol(asyncio.Protocol):
    """Messages with a length of four bytes before each."""

    def __init__(self, new_message: NewMessage, on_message: Callable[["LengthPrefixedProtocol", bytes], None]) -> None:
        self._new_message, self._on_message = new_message, on_message
        self._partial = b""
        self._paused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        self.batcher = TurnBatcher(self._new_message, self._write, lambda: not self._paused)

    def _write(self, message: bytes) -> None:
        self._transport.write(len(message).to_bytes(4, "big") + message)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.batcher.on_writable()

    def data_received(self, data: bytes) -> None:
        data, at = self._partial + data, 0
        while len(data) - at >= 4 and len(data) >= (end := at + 4 + int.from_bytes(data[at : at + 4], "big")):
            self._on_message(self, data[at + 4 : end])
            at = end
        self._partial = data[at:]


class TcpTransport(TransportCandidate):
    """Plain TCP: the least that any transport costs."""

    name = "bare TCP"

    async def serve(self) -> int:
        def on_message(protocol: LengthPrefixedProtocol, message: bytes) -> None:
            answer_pushes(node_pb2.RouterMessage.FromString(message), protocol.batcher)

        loop = asyncio.get_running_loop()
        new_message = node_pb2.NodeMessage
        server = await loop.create_server(lambda: LengthPrefixedProtocol(new_message, on_message), "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def connect(self, port: int, on_answers: OnAnswers) -> MessageBatcher:
        def on_message(_protocol: LengthPrefixedProtocol, message: bytes) -> None:
            on_answers(node_pb2.NodeMessage.FromString(message))

        loop = asyncio.get_running_loop()
        new_message = node_pb2.RouterMessage
        _, protocol = await loop.create_connection(
            lambda: LengthPrefixedProtocol(new_message, on_message), "127.0.0.1", port
        )
        return protocol.batcher


# Homing's own gRPC ---------------------------------------------------------------------------------------------------


class BatchingStreamHandler:
    """The handler of a stream of runtime.grpc_wire, on either side."""

    def __init__(self, on_message: Callable[[bytes, MessageBatcher], None]) -> None:
        self._on_message = on_message
        self.batcher: TurnBatcher

    def start(self, call: Call, new_message: NewMessage) -> None:
        """Batch the messages to this call."""
        self.batcher = TurnBatcher(new_message, call.send, lambda: call.writable)

    def on_message(self, message: bytes) -> None:
        self._on_message(message, self.batcher)

    def on_writable(self) -> None:
        self.batcher.on_writable()

    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...


class GrpcWireTransport(TransportCandidate):
    """`runtime/grpc_wire/`: gRPC over HTTP/2 by Homing's own code."""

    name = "grpc_wire"

    async def serve(self) -> int:
        def on_call(call: Call) -> BatchingStreamHandler:
            handler = BatchingStreamHandler(
                lambda message, batcher: answer_pushes(node_pb2.RouterMessage.FromString(message), batcher)
            )
            handler.start(call, node_pb2.NodeMessage)
            return handler

        self._server = GrpcServer({PATH: on_call})
        return await self._server.listen("127.0.0.1", 0)

    async def connect(self, port: int, on_answers: OnAnswers) -> MessageBatcher:
        handler = BatchingStreamHandler(lambda message, _batcher: on_answers(node_pb2.NodeMessage.FromString(message)))
        handler.start(await dial(f"127.0.0.1:{port}", PATH, handler), node_pb2.RouterMessage)
        return handler.batcher


# Libraries -----------------------------------------------------------------------------------------------------------


class GrpclibTransport(TransportCandidate):
    """grpclib on h2."""

    name = "grpclib"

    def __mapping__(self) -> dict[str, grpclib.const.Handler]:
        cardinality = grpclib.const.Cardinality.STREAM_STREAM
        types = (node_pb2.RouterMessage, node_pb2.NodeMessage)
        return {PATH: grpclib.const.Handler(self._stream, cardinality, *types)}

    async def _stream(self, stream: "grpclib.server.Stream[node_pb2.RouterMessage, node_pb2.NodeMessage]") -> None:
        batcher = TaskBatcher(node_pb2.NodeMessage, stream.send_message)
        async for message in stream:
            answer_pushes(message, batcher)
        batcher.close()

    async def serve(self) -> int:
        self._server = grpclib.server.Server([self])
        await self._server.start("127.0.0.1", 0)
        return int(self._server._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]

    async def connect(self, port: int, on_answers: OnAnswers) -> MessageBatcher:
        channel = grpclib.client.Channel("127.0.0.1", port)
        types = (node_pb2.RouterMessage, node_pb2.NodeMessage)
        method = grpclib.client.StreamStreamMethod(channel, PATH, *types)
        stream = await method.open().__aenter__()
        await stream.send_request()

        async def read() -> None:
            with contextlib.suppress(grpclib.exceptions.StreamTerminatedError):
                while (message := await stream.recv_message()) is not None:
                    on_answers(message)

        self._reader = asyncio.get_running_loop().create_task(read())
        return TaskBatcher(node_pb2.RouterMessage, stream.send_message)


class GrpcAioTransport(node_pb2_grpc.NodeServicer, TransportCandidate):
    """grpcio's asyncio API."""

    name = "grpc.aio"

    async def Stream(self, request_iterator: AsyncIterator[node_pb2.RouterMessage], context: ServicerContext) -> None:
        batcher = TaskBatcher(node_pb2.NodeMessage, context.write)
        async for message in request_iterator:
            answer_pushes(message, batcher)
        batcher.close()

    async def serve(self) -> int:
        self._server = grpc.aio.server()
        node_pb2_grpc.add_NodeServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return port

    async def close(self) -> None:
        await self._server.stop(0)

    async def connect(self, port: int, on_answers: OnAnswers) -> MessageBatcher:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        stream = node_pb2_grpc.NodeStub(self._channel).Stream()  # type: ignore[no-untyped-call]

        async def read() -> None:
            while isinstance(message := await stream.read(), node_pb2.NodeMessage):
                on_answers(message)

        self._reader = asyncio.get_running_loop().create_task(read())
        return TaskBatcher(node_pb2.RouterMessage, stream.write)


CANDIDATES: dict[str, type[TransportCandidate]] = {
    candidate.name: candidate
    for candidate in (NoTransport, TcpTransport, GrpcWireTransport, GrpclibTransport, GrpcAioTransport)
}
