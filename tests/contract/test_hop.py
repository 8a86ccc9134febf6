"""The hop's contract, over every transport: the in-memory twin, and a gRPC stream on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import grpc.aio
import pytest

from homing.internal.v1 import node_pb2, node_pb2_grpc
from registry.model import Incarnation
from router.hop.memory import MemoryHop
from router.hop.port import Hop, OutgoingPush
from router.hop.stream import HopSettings, StreamHop
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.server import GrpcServer
from runtime.grpc_wire.status import StreamEnded

INCARNATION = Incarnation("node", 7)
HELLO = node_pb2.NodeMessage(hello=node_pb2.NodeHello(node="node", epoch=7))
Serve = Callable[[node_pb2.RouterMessage], node_pb2.NodeMessage]


def done(message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
    """A node that carries everything out."""
    answers = node_pb2.NodeMessage()
    for push in message.pushes:
        answers.pushes.add(call=push.call, verdict=node_pb2.DONE)
    for request in message.requests:
        answers.responses.add(call=request.call, verdict=node_pb2.DONE, sessions=1)
    return answers


class RemoteNode(Protocol):
    """The node at the other end of a hop, and the hop."""

    hop: Hop
    received: list[node_pb2.RouterMessage]
    handled: list[tuple[Incarnation, node_pb2.Handled]]
    changes: list[bool]

    async def start(self) -> None: ...
    async def stall(self, stalled: bool) -> None: ...
    async def stop_serving(self) -> None: ...
    async def serve(self) -> None: ...
    async def report_unregistered(self, any: bool) -> None: ...
    async def report_handled(self, handled: node_pb2.Handled) -> None: ...
    async def stop(self) -> None: ...


class Recorder:
    """What a hop has called."""

    changes: list[bool]
    handled: list[tuple[Incarnation, node_pb2.Handled]]

    def _on_change(self, hop: Hop) -> None:
        self.changes.append(hop.reachable)

    def _on_handled(self, incarnation: Incarnation, handled: node_pb2.Handled) -> None:
        self.handled.append((incarnation, handled))


class MemoryNode(Recorder):
    def __init__(self, queue: int) -> None:
        self.received: list[node_pb2.RouterMessage] = []
        self.handled: list[tuple[Incarnation, node_pb2.Handled]] = []
        self.changes: list[bool] = []
        self.hop = MemoryHop(INCARNATION, self._answer_all, self._on_change, queue, self._on_handled)

    def _answer_all(self, message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        self.received.append(message)
        return done(message)

    async def start(self) -> None:
        """Nothing to start."""

    async def stall(self, stalled: bool) -> None:
        self.hop.stall(stalled)

    async def stop_serving(self) -> None:
        self.hop.disconnect()

    async def serve(self) -> None:
        self.hop.connect()

    async def report_unregistered(self, any: bool) -> None:
        self.hop.report_unregistered(any)

    async def report_handled(self, handled: node_pb2.Handled) -> None:
        self.hop.report_handled(handled)

    async def stop(self) -> None:
        """Nothing to stop."""


class StreamNode(Recorder):
    """A StreamHop to a server on a socket. The two classes below have the server."""

    ping = 0.05  # seconds

    def __init__(self, queue: int) -> None:
        self.received: list[node_pb2.RouterMessage] = []
        self.handled: list[tuple[Incarnation, node_pb2.Handled]] = []
        self.changes: list[bool] = []
        self._queue = queue
        self._port = 0

    async def start(self) -> None:
        await self.serve()
        settings = HopSettings(queue=self._queue, ping=self.ping, back_off=0.1)
        self.hop = StreamHop(
            *("router", INCARNATION, f"127.0.0.1:{self._port}", settings, lambda: 3, self._fencing),
            self._on_change,
            self._on_handled,
        )
        self._running = asyncio.ensure_future(self.hop.run())
        await self.hop.wait_opened()

    async def serve(self) -> None:
        raise NotImplementedError

    async def stop_serving(self) -> None:
        raise NotImplementedError

    async def _fencing(self, _incarnation: Incarnation) -> "node_pb2.Fencing.State":
        return node_pb2.Fencing.ALIVE

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.stop_serving()

    def _answer(self, message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        answers = done(message)
        answers.pong = message.ping
        if message.send_stats:
            answers.stats.sessions = 1
        return answers


class GrpcioNode(StreamNode, node_pb2_grpc.NodeServicer):
    """A server of grpcio."""

    def __init__(self, queue: int) -> None:
        super().__init__(queue)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._queued: asyncio.Queue[node_pb2.NodeMessage] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self._server: grpc.aio.Server | None = None

    async def Stream(self, request_iterator, context) -> None:
        await anext(aiter(request_iterator))
        await context.write(HELLO)
        sending = asyncio.ensure_future(self._send_queued(context))
        try:
            async for message in request_iterator:
                if message.pushes or message.requests:
                    self.received.append(message)
                    await self._flowing.wait()
                async with self._writing:
                    await context.write(self._answer(message))
        finally:
            sending.cancel()

    async def _send_queued(self, context) -> None:
        while True:
            message = await self._queued.get()
            async with self._writing:  # grpc.aio carries one write at a time
                await context.write(message)

    async def stall(self, stalled: bool) -> None:
        self._flowing.clear() if stalled else self._flowing.set()

    async def stop_serving(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def serve(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        node_pb2_grpc.add_NodeServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()

    async def report_unregistered(self, any: bool) -> None:
        await self._queued.put(node_pb2.NodeMessage(unregistered=node_pb2.Unregistered(any=any)))

    async def report_handled(self, handled: node_pb2.Handled) -> None:
        await self._queued.put(node_pb2.NodeMessage(handled=handled))


class GrpcWireNode(StreamNode):
    """A server of runtime.grpc_wire; while stalled it reads nothing, so the hop runs out of credit."""

    def __init__(self, queue: int) -> None:
        super().__init__(queue)
        self.first = HELLO
        self._server: GrpcServer | None = None
        self._call: Call | None = None
        self._greeted = False

    def _open(self, call: Call) -> "GrpcWireNode":
        self._call, self._greeted = call, False
        return self

    def on_message(self, message: bytes) -> None:
        assert self._call is not None
        if not self._greeted:
            self._greeted = True
            self._call.send(self.first.SerializeToString())
            return
        received = node_pb2.RouterMessage.FromString(message)
        if received.pushes or received.requests:
            self.received.append(received)
        self._call.send(self._answer(received).SerializeToString())

    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...

    async def stall(self, stalled: bool) -> None:
        assert self._call is not None
        self._call.pause_reading() if stalled else self._call.resume_reading()

    async def stop_serving(self) -> None:
        assert self._server is not None
        await self._server.close(0.1)

    async def serve(self) -> None:
        self._server = GrpcServer({"/homing.internal.v1.Node/Stream": self._open})
        self._port = await self._server.listen("127.0.0.1", self._port)

    async def report_unregistered(self, any: bool) -> None:
        assert self._call is not None
        self._call.send(node_pb2.NodeMessage(unregistered=node_pb2.Unregistered(any=any)).SerializeToString())

    async def report_handled(self, handled: node_pb2.Handled) -> None:
        assert self._call is not None
        self._call.send(node_pb2.NodeMessage(handled=handled).SerializeToString())


@pytest.fixture(params=[MemoryNode, GrpcioNode, GrpcWireNode])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[RemoteNode]:
    made: RemoteNode = request.param(50)
    await made.start()
    yield made
    await made.stop()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


def push(node: RemoteNode, data: bytes = b"{}") -> "asyncio.Future[node_pb2.PushAnswer | None]":
    """Hand a push over; the future is its answer, which must come exactly once."""
    answer: asyncio.Future[node_pb2.PushAnswer | None] = asyncio.get_running_loop().create_future()
    raw = node_pb2.Push(event="e", data=data).SerializeToString()
    node.hop.push(OutgoingPush(raw, len(data) + 512, 0.0), lambda came: answer.cancelled() or answer.set_result(came))
    return answer


async def test_every_call_is_answered_by_its_own_answer_in_order(node: RemoteNode) -> None:
    calls = [push(node, b"%d" % number) for number in range(40)]
    joining = node.hop.request(node_pb2.NodeRequest(membership=node_pb2.Membership(file="f")))
    answers = await asyncio.gather(*calls)
    assert [answer and answer.verdict for answer in answers] == [node_pb2.DONE] * 40
    assert len({answer.call for answer in answers if answer}) == 40
    joined = await joining
    assert joined is not None
    assert joined.sessions == 1
    assert [one.data for message in node.received for one in message.pushes] == [b"%d" % number for number in range(40)]


async def test_down_answers_everything_open_with_none_at_once_and_up_again_carries_on(node: RemoteNode) -> None:
    await node.stall(True)
    stuck = push(node)
    await node.stop_serving()
    async with asyncio.timeout(2):
        assert await stuck is None
    await until(lambda: not node.hop.reachable)
    assert await push(node) is None
    await node.stall(False)
    await node.serve()
    await until(lambda: node.hop.reachable)
    answer = await push(node)
    assert answer is not None
    assert node.changes[-1] is True
    assert False in node.changes


async def test_the_queue_is_bounded(node: RemoteNode) -> None:
    await node.stall(True)
    assert node.hop.has_room(100)
    calls = [push(node) for _ in range(50)]
    assert not node.hop.has_room(100)
    await node.stall(False)
    assert None not in await asyncio.gather(*calls)
    assert node.hop.has_room(100)


async def test_the_node_reports_unregistered_sessions(node: RemoteNode) -> None:
    assert not node.hop.unregistered
    await node.report_unregistered(True)
    await until(lambda: node.hop.unregistered)
    await node.report_unregistered(False)
    await until(lambda: not node.hop.unregistered)


async def test_the_node_reports_on_pushes_from_the_bus(node: RemoteNode) -> None:
    handled = node_pb2.Handled(begins=True, taken=[2], answers=[node_pb2.PushAnswer(call=1)])
    handled.spans.add(first=1, last=2)
    await node.report_handled(handled)
    await until(lambda: node.handled)
    assert node.handled == [(INCARNATION, handled)]


async def test_stats_come_while_they_are_requested(node: RemoteNode) -> None:
    assert node.hop.stats is None
    node.hop.request_stats(True)
    await until(lambda: node.hop.stats is not None)
    assert node.hop.stats == node_pb2.Stats(sessions=1)
    node.hop.request_stats(False)
    assert node.hop.stats is None


async def test_a_cancelled_call_affects_no_other(node: RemoteNode) -> None:
    await node.stall(True)
    gone = push(node)
    gone.cancel()
    kept = push(node)
    await node.stall(False)
    assert await kept is not None


@pytest.mark.parametrize("kind", [GrpcioNode, GrpcWireNode])
async def test_a_silent_stream_is_unreachable_until_the_node_answers_again(
    kind: type[GrpcioNode] | type[GrpcWireNode],
) -> None:
    """Only a transport can be silent: the stream is there, and nothing comes."""
    node = kind(50)
    await node.start()
    try:
        await node.stall(True)
        silent = push(node)
        async with asyncio.timeout(2):
            assert await silent is None
        assert not node.hop.reachable
        await node.stall(False)
        await until(lambda: node.hop.reachable)
        assert await push(node) is not None
    finally:
        await node.stop()


async def test_what_comes_in_one_message_with_hello_is_received() -> None:
    node = GrpcWireNode(50)
    node.first = node_pb2.NodeMessage(hello=HELLO.hello, unregistered=node_pb2.Unregistered(any=True))
    await node.start()
    try:
        await until(lambda: node.hop.unregistered)
    finally:
        await node.stop()


async def test_a_stalled_node_delays_nothing_to_others() -> None:
    """One node reads nothing: its queue fills; what goes to the other is answered as fast as before."""
    slow, quick = GrpcWireNode(8192), GrpcWireNode(8192)
    slow.ping = 1.0  # its queue is full before it counts as silent
    await asyncio.gather(slow.start(), quick.start())
    loop = asyncio.get_running_loop()
    try:
        await slow.stall(True)
        large, waits, stuck = b"x" * 100_000, [], []
        for _ in range(300):
            if slow.hop.has_room(len(large)):
                stuck.append(push(slow, large))
            began = loop.time()
            answer = await push(quick)
            waits.append(loop.time() - began)
            assert answer is not None
        assert not slow.hop.has_room(len(large)), "the queue to the stalled node is bounded"
        assert sorted(waits)[150] < 0.02
        assert max(waits) < 0.5
        async with asyncio.timeout(6):
            assert set(await asyncio.gather(*stuck)) == {None}, "its calls are answered: unknown"
    finally:
        await asyncio.gather(slow.stop(), quick.stop())
