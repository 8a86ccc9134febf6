"""The candidates for the hop's transport, each as a pair: a server that answers pushes, a client that hands them over.

All of them gather in the same way: what is handed over while the previous message is being written goes into the next
one. Where a write can be awaited (grpclib, grpc.aio) a task awaits it; where the kernel's buffer is seen directly (TCP,
ours) a message leaves at the end of the loop's turn unless the last one is still there.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import grpclib.client
import grpclib.const
import grpclib.exceptions
import grpclib.server
from google.protobuf.message import Message

from homing.internal.v1 import node_pb2, node_pb2_grpc
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.client import dial
from runtime.grpc_wire.server import Server
from runtime.grpc_wire.status import StreamEnded

PATH = "/homing.internal.v1.Node/Stream"
Context = grpc.aio.ServicerContext
Make = Callable[[], Any]  # a RouterMessage or a NodeMessage
Answers = Callable[[node_pb2.NodeMessage], None]


class Gather:
    """What waits to be written, as one message."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.out = make()
        self.messages = 0

    def add(self, item: node_pb2.Push | node_pb2.PushAnswer) -> None:
        """A push or a push's answer."""
        self.out.pushes.append(item)
        self.touched()

    def taken(self) -> Message:
        out, self.out = self.out, self.make()
        self.messages += 1
        return out

    def touched(self) -> None:
        raise NotImplementedError


class SoonGather(Gather):
    """Writes at the end of the loop's turn, unless the previous write is still under way."""

    def __init__(self, make: Make, write: Callable[[bytes], None], writable: Callable[[], bool]) -> None:
        super().__init__(make)
        self._write, self._writable = write, writable
        self._soon = False
        self._loop = asyncio.get_running_loop()

    def touched(self) -> None:
        if not self._soon and self._writable():
            self._soon = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._soon = False
        self._write(self.taken().SerializeToString())

    def on_writable(self) -> None:
        if self.out.pushes:
            self.touched()


class AwaitGather(Gather):
    """A task awaits each write."""

    def __init__(self, make: Make, write: Callable[[Any], Any]) -> None:
        super().__init__(make)
        self._write = write
        self._some = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def touched(self) -> None:
        self._some.set()

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            await self._write(self.taken())

    def close(self) -> None:
        self._task.cancel()


def answer(message: node_pb2.RouterMessage, gather: Gather) -> None:
    """What a gateway answers to each push: done, one session, written."""
    for push in message.pushes:
        done = node_pb2.PushAnswer(call=push.call, verdict=node_pb2.DONE)
        done.counts.add(outcome=2, sessions=1)
        done.deliveries.add(session=push.receivers.sessions.sids[0], user="user-1", outcome=2, latency_us=400)
        gather.add(done)


class Candidate:
    """One transport."""

    name: str

    async def serve(self) -> int:
        """Listen; the answer is the port."""
        raise NotImplementedError

    async def connect(self, port: int, answers: Answers) -> Gather:
        """One long-lived stream."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop serving."""


# Nothing at all: what the generator itself costs ---------------------------------------------------------------------


class NothingGather(Gather):
    def __init__(self, answers: Answers) -> None:
        super().__init__(node_pb2.RouterMessage)
        self._answers = answers

    def touched(self) -> None:
        call = self.taken().pushes[0].call
        self._answers(node_pb2.NodeMessage(pushes=[node_pb2.PushAnswer(call=call)]))


class Nothing(Candidate):
    """The generator alone."""

    name = "generator alone"

    async def serve(self) -> int:
        return 0

    async def connect(self, port: int, answers: Answers) -> Gather:
        return NothingGather(answers)


# The floor ----------------------------------------------------------------------------------------------------------


class LengthPrefixed(asyncio.Protocol):
    """Four bytes of length, the message."""

    def __init__(self, make: Make, hear: Callable[["LengthPrefixed", bytes], None]) -> None:
        self._make, self._hear = make, hear
        self._rest = b""
        self._full = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        self.gather = SoonGather(self._make, self._write, lambda: not self._full)

    def _write(self, message: bytes) -> None:
        self._transport.write(len(message).to_bytes(4, "big") + message)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.gather.writable()

    def data_received(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) - at >= 4 and len(data) >= (end := at + 4 + int.from_bytes(data[at : at + 4], "big")):
            self._hear(self, data[at + 4 : end])
            at = end
        self._rest = data[at:]


class Tcp(Candidate):
    """Bare TCP: what no transport can go below."""

    name = "bare TCP"

    async def serve(self) -> int:
        def hear(wire: LengthPrefixed, message: bytes) -> None:
            answer(node_pb2.RouterMessage.FromString(message), wire.gather)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: LengthPrefixed(node_pb2.NodeMessage, hear), "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def connect(self, port: int, answers: Answers) -> Gather:
        def hear(_wire: LengthPrefixed, message: bytes) -> None:
            answers(node_pb2.NodeMessage.FromString(message))

        loop = asyncio.get_running_loop()
        make = node_pb2.RouterMessage
        _, wire = await loop.create_connection(lambda: LengthPrefixed(make, hear), "127.0.0.1", port)
        return wire.gather


# Ours ---------------------------------------------------------------------------------------------------------------


class RecordingHandler:
    """Hears one of our streams, either side."""

    def __init__(self, hear: Callable[[bytes, Gather], None]) -> None:
        self._hear = hear
        self.gather: SoonGather

    def speak(self, call: Call, make: Make) -> None:
        self.gather = SoonGather(make, call.send, lambda: call.writable)

    def on_message(self, message: bytes) -> None:
        self._hear(message, self.gather)

    def on_writable(self) -> None:
        self.gather.writable()

    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...


class Streams(Candidate):
    """`streams/`: gRPC over HTTP/2 of our own."""

    name = "streams"

    async def serve(self) -> int:
        def taken(call: Call) -> RecordingHandler:
            ear = RecordingHandler(lambda message, gather: answer(node_pb2.RouterMessage.FromString(message), gather))
            ear.speak(call, node_pb2.NodeMessage)
            return ear

        self._server = Server({PATH: taken})
        return await self._server.listen("127.0.0.1", 0)

    async def connect(self, port: int, answers: Answers) -> Gather:
        ear = RecordingHandler(lambda message, _gather: answers(node_pb2.NodeMessage.FromString(message)))
        ear.speak(await dial(f"127.0.0.1:{port}", PATH, ear), node_pb2.RouterMessage)
        return ear.gather


# Libraries ----------------------------------------------------------------------------------------------------------


class Grpclib(Candidate):
    """grpclib on h2."""

    name = "grpclib"

    def __mapping__(self) -> dict[str, grpclib.const.Handler]:
        cardinality = grpclib.const.Cardinality.STREAM_STREAM
        types = (node_pb2.RouterMessage, node_pb2.NodeMessage)
        return {PATH: grpclib.const.Handler(self._stream, cardinality, *types)}

    async def _stream(self, stream: "grpclib.server.Stream[node_pb2.RouterMessage, node_pb2.NodeMessage]") -> None:
        gather = AwaitGather(node_pb2.NodeMessage, stream.send_message)
        async for message in stream:
            answer(message, gather)
        gather.close()

    async def serve(self) -> int:
        self._server = grpclib.server.Server([self])
        await self._server.start("127.0.0.1", 0)
        return int(self._server._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]

    async def connect(self, port: int, answers: Answers) -> Gather:
        channel = grpclib.client.Channel("127.0.0.1", port)
        types = (node_pb2.RouterMessage, node_pb2.NodeMessage)
        method = grpclib.client.StreamStreamMethod(channel, PATH, *types)
        stream = await method.open().__aenter__()
        await stream.send_request()

        async def read() -> None:
            with contextlib.suppress(grpclib.exceptions.StreamTerminatedError):
                while (message := await stream.recv_message()) is not None:
                    answers(message)

        self._reading = asyncio.get_running_loop().create_task(read())
        return AwaitGather(node_pb2.RouterMessage, stream.send_message)


class GrpcAio(node_pb2_grpc.NodeServicer, Candidate):
    """grpcio's asyncio API."""

    name = "grpc.aio"

    async def Stream(self, request_iterator: AsyncIterator[node_pb2.RouterMessage], context: Context) -> None:
        gather = AwaitGather(node_pb2.NodeMessage, context.write)
        async for message in request_iterator:
            answer(message, gather)
        gather.close()

    async def serve(self) -> int:
        self._server = grpc.aio.server()
        node_pb2_grpc.add_NodeServicer_to_server(self, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return port

    async def close(self) -> None:
        await self._server.stop(0)

    async def connect(self, port: int, answers: Answers) -> Gather:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        stream = node_pb2_grpc.NodeStub(self._channel).Stream()

        async def read() -> None:
            while isinstance(message := await stream.read(), node_pb2.NodeMessage):
                answers(message)

        self._reading = asyncio.get_running_loop().create_task(read())
        return AwaitGather(node_pb2.RouterMessage, stream.write)


CANDIDATES: dict[str, type[Candidate]] = {one.name: one for one in (Nothing, Tcp, Streams, Grpclib, GrpcAio)}
