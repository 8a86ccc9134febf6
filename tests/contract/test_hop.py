"""The hop's contract, over every transport: the in-memory twin, and a real gRPC stream on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import grpc.aio
import pytest

from homing.internal.v1 import node_pb2, node_pb2_grpc
from registry.model import Incarnation
from router.hop.memory import MemoryHop
from router.hop.port import Hop, Outgoing
from router.hop.stream import HopSettings, StreamHop
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.server import Server
from runtime.grpc_wire.status import StreamEnded

LIFE = Incarnation("node", 7)
HELLO = node_pb2.NodeMessage(hello=node_pb2.NodeHello(node="node", epoch=7))
Serve = Callable[[node_pb2.RouterMessage], node_pb2.NodeMessage]


def agree(message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
    """A node that carries everything out."""
    answers = node_pb2.NodeMessage()
    for push in message.pushes:
        answers.pushes.add(call=push.call, verdict=node_pb2.DONE)
    for request in message.requests:
        answers.requests.add(call=request.call, verdict=node_pb2.DONE, sessions=1)
    return answers


class Far(Protocol):
    """The other end of a hop, and the way to it."""

    hop: Hop
    heard: list[node_pb2.RouterMessage]
    changes: list[bool]

    async def start(self) -> None: ...
    async def stall(self, stalled: bool) -> None: ...
    async def go_down(self) -> None: ...
    async def come_up(self) -> None: ...
    async def say_unregistered(self, any: bool) -> None: ...
    async def say_handled(self, handled: node_pb2.Handled) -> None: ...
    async def stop(self) -> None: ...


class MemoryFar:
    def __init__(self, queue: int) -> None:
        self.heard: list[node_pb2.RouterMessage] = []
        self.changes: list[bool] = []
        self.hop = MemoryHop(LIFE, self._serve, lambda hop: self.changes.append(hop.reachable), queue)

    def _serve(self, message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        self.heard.append(message)
        return agree(message)

    async def start(self) -> None:
        """Nothing to start."""

    async def stall(self, stalled: bool) -> None:
        self.hop.stall(stalled)

    async def go_down(self) -> None:
        self.hop.go_down()

    async def come_up(self) -> None:
        self.hop.come_up()

    async def say_unregistered(self, any: bool) -> None:
        self.hop.say_unregistered(any)

    async def say_handled(self, handled: node_pb2.Handled) -> None:
        self.hop.say_handled(handled)

    async def stop(self) -> None:
        """Nothing to stop."""


class StreamFar:
    """A StreamHop to a server on a socket. What serves is told by the two classes below."""

    ping = 0.05  # seconds

    def __init__(self, queue: int) -> None:
        self.heard: list[node_pb2.RouterMessage] = []
        self.changes: list[bool] = []
        self._queue = queue
        self._port = 0

    async def start(self) -> None:
        await self.come_up()
        settings = HopSettings(queue=self._queue, ping=self.ping, back_off=0.1)
        self.hop = StreamHop(
            *("router", LIFE, f"127.0.0.1:{self._port}", settings, lambda: 3, self._judge),
            lambda hop: self.changes.append(hop.reachable),
        )
        self._running = asyncio.ensure_future(self.hop.run())
        await self.hop.wait_opened()

    async def come_up(self) -> None:
        raise NotImplementedError

    async def go_down(self) -> None:
        raise NotImplementedError

    async def _judge(self, _incarnation: Incarnation) -> "node_pb2.Fencing.State":
        return node_pb2.Fencing.ALIVE

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.go_down()

    def _answer(self, message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        answers = agree(message)
        answers.pong = message.ping
        if message.send_stats:
            answers.stats.sessions = 1
        return answers


class GrpcFar(StreamFar, node_pb2_grpc.NodeServicer):
    """A server of grpcio's."""

    def __init__(self, queue: int) -> None:
        super().__init__(queue)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._say: asyncio.Queue[node_pb2.NodeMessage] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self._server: grpc.aio.Server | None = None

    async def Stream(self, request_iterator, context) -> None:
        await anext(aiter(request_iterator))
        await context.write(HELLO)
        saying = asyncio.ensure_future(self._say_on(context))
        try:
            async for message in request_iterator:
                if message.pushes or message.requests:
                    self.heard.append(message)
                    await self._flowing.wait()
                async with self._writing:
                    await context.write(self._answer(message))
        finally:
            saying.cancel()

    async def _say_on(self, context) -> None:
        while True:
            message = await self._say.get()
            async with self._writing:  # grpc.aio carries one write at a time
                await context.write(message)

    async def stall(self, stalled: bool) -> None:
        self._flowing.clear() if stalled else self._flowing.set()

    async def go_down(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def come_up(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        node_pb2_grpc.add_NodeServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()

    async def say_unregistered(self, any: bool) -> None:
        await self._say.put(node_pb2.NodeMessage(unregistered=node_pb2.Unregistered(any=any)))

    async def say_handled(self, handled: node_pb2.Handled) -> None:
        await self._say.put(node_pb2.NodeMessage(handled=handled))


class OurFar(StreamFar):
    """A server of our own; while stalled it reads nothing, so the hop runs out of credit."""

    def __init__(self, queue: int) -> None:
        super().__init__(queue)
        self.first = HELLO
        self._server: Server | None = None
        self._call: Call | None = None
        self._greeted = False

    def _serve(self, call: Call) -> "OurFar":
        self._call, self._greeted = call, False
        return self

    def on_message(self, message: bytes) -> None:
        assert self._call is not None
        if not self._greeted:
            self._greeted = True
            self._call.send(self.first.SerializeToString())
            return
        heard = node_pb2.RouterMessage.FromString(message)
        if heard.pushes or heard.requests:
            self.heard.append(heard)
        self._call.send(self._answer(heard).SerializeToString())

    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...

    async def stall(self, stalled: bool) -> None:
        assert self._call is not None
        self._call.stop_reading() if stalled else self._call.resume_reading()

    async def go_down(self) -> None:
        assert self._server is not None
        await self._server.close(0.1)

    async def come_up(self) -> None:
        self._server = Server({"/homing.internal.v1.Node/Stream": self._serve})
        self._port = await self._server.listen("127.0.0.1", self._port)

    async def say_unregistered(self, any: bool) -> None:
        assert self._call is not None
        self._call.send(node_pb2.NodeMessage(unregistered=node_pb2.Unregistered(any=any)).SerializeToString())

    async def say_handled(self, handled: node_pb2.Handled) -> None:
        assert self._call is not None
        self._call.send(node_pb2.NodeMessage(handled=handled).SerializeToString())


@pytest.fixture(params=[MemoryFar, GrpcFar, OurFar])
async def far(request: pytest.FixtureRequest) -> AsyncIterator[Far]:
    made: Far = request.param(50)
    await made.start()
    yield made
    await made.stop()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


def push(far: Far, data: bytes = b"{}") -> "asyncio.Future[node_pb2.PushAnswer | None]":
    """Hand a push over; the future is its answer, which must come exactly once."""
    answer: asyncio.Future[node_pb2.PushAnswer | None] = asyncio.get_running_loop().create_future()
    raw = node_pb2.Push(event="e", data=data).SerializeToString()
    far.hop.push(Outgoing(raw, len(data) + 512, 0.0), lambda came: answer.cancelled() or answer.set_result(came))
    return answer


async def test_every_call_is_answered_by_its_own_answer_in_order(far: Far) -> None:
    calls = [push(far, b"%d" % number) for number in range(40)]
    joining = far.hop.request(node_pb2.NodeRequest(membership=node_pb2.Membership(file="f")))
    answers = await asyncio.gather(*calls)
    assert [answer and answer.verdict for answer in answers] == [node_pb2.DONE] * 40
    assert len({answer.call for answer in answers if answer}) == 40
    joined = await joining
    assert joined is not None
    assert joined.sessions == 1
    assert [one.data for message in far.heard for one in message.pushes] == [b"%d" % number for number in range(40)]


async def test_down_answers_everything_open_with_none_at_once_and_up_again_carries_on(far: Far) -> None:
    await far.stall(True)
    stuck = push(far)
    await far.go_down()
    async with asyncio.timeout(2):
        assert await stuck is None
    await until(lambda: not far.hop.reachable)
    assert await push(far) is None
    await far.stall(False)
    await far.come_up()
    await until(lambda: far.hop.reachable)
    answer = await push(far)
    assert answer is not None
    assert far.changes[-1] is True
    assert False in far.changes


async def test_the_queue_is_bounded_and_says_so(far: Far) -> None:
    await far.stall(True)
    assert far.hop.room(100)
    calls = [push(far) for _ in range(50)]
    assert not far.hop.room(100)
    await far.stall(False)
    assert None not in await asyncio.gather(*calls)
    assert far.hop.room(100)


async def test_what_the_node_says_about_unregistered_sessions(far: Far) -> None:
    assert not far.hop.unregistered
    await far.say_unregistered(True)
    await until(lambda: far.hop.unregistered)
    await far.say_unregistered(False)
    await until(lambda: not far.hop.unregistered)


async def test_what_the_node_says_about_pushes_off_the_bus(far: Far) -> None:
    said = node_pb2.Handled(begins=True, taken=[2], answers=[node_pb2.PushAnswer(call=1)])
    said.spans.add(first=1, last=2)
    heard: list[tuple[Incarnation, node_pb2.Handled]] = []
    far.hop.on_handled = lambda incarnation, handled: heard.append((incarnation, handled))
    await far.say_handled(said)
    await until(lambda: heard)
    assert heard == [(LIFE, said)]


async def test_stats_come_while_they_are_wanted(far: Far) -> None:
    assert far.hop.stats is None
    far.hop.send_stats(True)
    await until(lambda: far.hop.stats is not None)
    assert far.hop.stats == node_pb2.Stats(sessions=1)
    far.hop.send_stats(False)
    assert far.hop.stats is None


async def test_a_caller_that_stops_waiting_harms_nobody(far: Far) -> None:
    await far.stall(True)
    gone = push(far)
    gone.cancel()
    kept = push(far)
    await far.stall(False)
    assert await kept is not None


@pytest.mark.parametrize("kind", [GrpcFar, OurFar])
async def test_a_silent_stream_is_unreachable_until_it_speaks_again(kind: type[GrpcFar] | type[OurFar]) -> None:
    """Only a transport can be silent: the stream is there, and nothing comes."""
    far = kind(50)
    await far.start()
    try:
        await far.stall(True)
        silent = push(far)
        async with asyncio.timeout(2):
            assert await silent is None
        assert not far.hop.reachable
        await far.stall(False)
        await until(lambda: far.hop.reachable)
        assert await push(far) is not None
    finally:
        await far.stop()


async def test_what_comes_in_one_message_with_hello_is_heard() -> None:
    far = OurFar(50)
    far.first = node_pb2.NodeMessage(hello=HELLO.hello, unregistered=node_pb2.Unregistered(any=True))
    await far.start()
    try:
        await until(lambda: far.hop.unregistered)
    finally:
        await far.stop()


async def test_a_stalled_node_delays_nothing_to_others() -> None:
    """One node reads nothing: its queue fills and says so; what goes to the other is answered as fast as before."""
    slow, quick = OurFar(8192), OurFar(8192)
    slow.ping = 1.0  # its queue is full before it counts as silent
    await asyncio.gather(slow.start(), quick.start())
    loop = asyncio.get_running_loop()
    try:
        await slow.stall(True)
        large, waits, stuck = b"x" * 100_000, [], []
        for _ in range(300):
            if slow.hop.room(len(large)):
                stuck.append(push(slow, large))
            began = loop.time()
            answer = await push(quick)
            waits.append(loop.time() - began)
            assert answer is not None
        assert not slow.hop.room(len(large)), "the queue to the stalled node is bounded"
        assert sorted(waits)[150] < 0.02
        assert max(waits) < 0.5
        async with asyncio.timeout(6):
            assert set(await asyncio.gather(*stuck)) == {None}, "its calls are answered: nobody knows"
    finally:
        await asyncio.gather(slow.stop(), quick.stop())
