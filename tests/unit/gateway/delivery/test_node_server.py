"""The node port's shell against a stand-in for one stream: what it says first, in how many messages, how it ends."""

import asyncio

import pytest

from gateway.delivery.node_server import RouterStreamHandler
from gateway.delivery.router_endpoint import WrongIncarnation
from gateway.delivery.router_stream import OPEN_CALLS, RouterStream
from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from runtime.grpc_wire.status import FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT, StreamEnded

LIFE = Incarnation("node", 7)
HELLO = node_pb2.RouterMessage(hello=node_pb2.RouterHello(router="r", node="node", epoch=7)).SerializeToString()


class StreamOfOurs:
    """Records what the ear does with its stream."""

    def __init__(self) -> None:
        self.said: list[node_pb2.NodeMessage] = []
        self.end_: tuple[int, str] | None = None
        self.reading = True
        self.writable = True

    def send(self, message: bytes) -> None:
        self.said.append(node_pb2.NodeMessage.FromString(message))

    def end(self, status: int = 0, why: str = "") -> None:
        self.end_ = (status, why)

    def stop_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Port:
    """A node port that opens calls and answers none."""

    def __init__(self) -> None:
        self.link: RouterStream | None = None
        self.closed = 0

    def open(self, first: node_pb2.RouterMessage) -> RouterStream:
        if first.hello.epoch != LIFE.epoch:
            raise WrongIncarnation("another")
        self.link = RouterStream("r", 7)
        self.link.hello(LIFE)
        return self.link

    def read(self, link: RouterStream, message: node_pb2.RouterMessage) -> None:
        link.opened(len(message.pushes))

    def close(self, link: RouterStream) -> None:
        self.closed += 1


@pytest.fixture
async def made() -> tuple[RouterStreamHandler, StreamOfOurs, Port]:
    stream, port = StreamOfOurs(), Port()
    return RouterStreamHandler(port, stream), stream, port


async def turn() -> None:
    """Let the loop's turn end."""
    await asyncio.sleep(0)


async def test_hello_is_answered_first_and_answers_of_one_turn_leave_together(made) -> None:
    handler, stream, port = made
    handler.on_message(HELLO)
    await turn()
    assert [message.hello.epoch for message in stream.said] == [7]
    for call in range(3):
        port.link.answer_push(node_pb2.PushAnswer(call=call))
    await turn()
    assert [len(message.pushes) for message in stream.said] == [0, 3]


async def test_answers_gather_while_the_stream_is_full(made) -> None:
    handler, stream, port = made
    handler.on_message(HELLO)
    await turn()
    stream.writable = False
    for call in range(3):
        port.link.answer_push(node_pb2.PushAnswer(call=call))
        await turn()
    assert len(stream.said) == 1
    stream.writable = True
    handler.on_writable()
    await turn()
    assert [len(message.pushes) for message in stream.said] == [0, 3]


async def test_a_router_with_too_many_open_calls_is_not_read_on(made) -> None:
    handler, stream, port = made
    handler.on_message(HELLO)
    many = node_pb2.RouterMessage(pushes=[node_pb2.Push(call=call) for call in range(OPEN_CALLS)])
    handler.on_message(many.SerializeToString())
    assert not stream.reading
    port.link.answer_push(node_pb2.PushAnswer(call=1))
    assert stream.reading


async def test_answers_that_no_message_can_carry_leave_in_several(made, monkeypatch) -> None:
    monkeypatch.setattr("gateway.delivery.node_server.LARGEST", 3000)
    handler, stream, port = made
    handler.on_message(HELLO)
    await turn()
    for call in range(1, 9):
        port.link.answer_push(node_pb2.PushAnswer(call=call, deliveries=[node_pb2.Delivered(user="u" * 1000)]))
    await turn()
    assert [one.call for message in stream.said for one in message.pushes] == list(range(1, 9))
    assert len(stream.said) == 1 + 4


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (node_pb2.RouterMessage(ping=1).SerializeToString(), INVALID_ARGUMENT),
        (node_pb2.RouterMessage(hello=node_pb2.RouterHello(epoch=6)).SerializeToString(), FAILED_PRECONDITION),
        (b"\xff\xff\xff", INTERNAL),
    ],
)
async def test_who_is_not_let_in(made, message: bytes, status: int) -> None:
    handler, _, port = made
    with pytest.raises(StreamEnded) as refused:
        handler.on_message(message)
    assert refused.value.status == status
    handler.on_end(refused.value)
    assert port.closed == 0


async def test_after_a_half_close_the_stream_ends_with_the_last_answer(made) -> None:
    handler, stream, port = made
    handler.on_message(HELLO)
    handler.on_message(node_pb2.RouterMessage(pushes=[node_pb2.Push(call=1)]).SerializeToString())
    handler.on_half_close()
    await turn()
    assert stream.end_ is None
    port.link.answer_push(node_pb2.PushAnswer(call=1))
    await turn()
    assert stream.end_ == (0, "")
    handler.on_end(StreamEnded(0, ""))
    assert port.closed == 1


async def test_what_says_how_far_we_are_leaves_after_the_answers_that_it_covers(made, monkeypatch) -> None:
    monkeypatch.setattr("gateway.delivery.node_server.LARGEST", 3000)
    handler, stream, port = made
    handler.on_message(HELLO)
    await turn()
    for call in range(1, 9):
        port.link.answer_published(node_pb2.PushAnswer(call=call, deliveries=[node_pb2.Delivered(user="u" * 1000)]))
    port.link.handled(1, 8)
    await turn()
    answers = [answer.call for message in stream.said for answer in message.handled.answers]
    assert answers == list(range(1, 9))
    assert [len(message.handled.spans) for message in stream.said] == [0, 0, 0, 0, 1]
