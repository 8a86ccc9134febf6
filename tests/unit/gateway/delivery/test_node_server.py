"""The node port's shell against a stand-in for one stream: what it sends first, in how many messages, how it ends."""

import asyncio

import pytest

from gateway.delivery.node_server import RouterStreamHandler
from gateway.delivery.router_endpoint import WrongIncarnation
from gateway.delivery.router_stream import OPEN_CALLS, RouterStream
from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from runtime.grpc_wire.status import FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT, StreamEnded

OURS = Incarnation("node", 7)
HELLO = node_pb2.RouterMessage(hello=node_pb2.RouterHello(router="r", node="node", epoch=7)).SerializeToString()


class RecordingCall:
    """Records what the handler does with its call."""

    def __init__(self) -> None:
        self.sent: list[node_pb2.NodeMessage] = []
        self.end_: tuple[int, str] | None = None
        self.reading = True
        self.writable = True

    def send(self, message: bytes) -> None:
        self.sent.append(node_pb2.NodeMessage.FromString(message))

    def end(self, status: int = 0, why: str = "") -> None:
        self.end_ = (status, why)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Endpoint:
    """A router endpoint that opens calls and answers none."""

    def __init__(self) -> None:
        self.stream: RouterStream | None = None
        self.closed = 0

    def open(self, first: node_pb2.RouterMessage, request_write, resume_reading) -> RouterStream:
        if first.hello.epoch != OURS.epoch:
            raise WrongIncarnation("another")
        self.stream = RouterStream("r", OURS, request_write, resume_reading)
        return self.stream

    def on_message(self, stream: RouterStream, message: node_pb2.RouterMessage) -> None:
        stream.opened(len(message.pushes))

    def close(self, stream: RouterStream) -> None:
        self.closed += 1


@pytest.fixture
async def made() -> tuple[RouterStreamHandler, RecordingCall, Endpoint]:
    call, endpoint = RecordingCall(), Endpoint()
    return RouterStreamHandler(endpoint, call), call, endpoint


async def turn() -> None:
    """Let the loop's turn end."""
    await asyncio.sleep(0)


async def test_hello_is_answered_first_and_answers_of_one_turn_leave_together(made) -> None:
    handler, call, endpoint = made
    handler.on_message(HELLO)
    await turn()
    assert [message.hello.epoch for message in call.sent] == [7]
    for number in range(3):
        endpoint.stream.answer_push(node_pb2.PushAnswer(call=number))
    await turn()
    assert [len(message.pushes) for message in call.sent] == [0, 3]


async def test_answers_gather_while_the_stream_is_full(made) -> None:
    handler, call, endpoint = made
    handler.on_message(HELLO)
    await turn()
    call.writable = False
    for number in range(3):
        endpoint.stream.answer_push(node_pb2.PushAnswer(call=number))
        await turn()
    assert len(call.sent) == 1
    call.writable = True
    handler.on_writable()
    await turn()
    assert [len(message.pushes) for message in call.sent] == [0, 3]


async def test_a_router_with_too_many_open_calls_is_not_read_on(made) -> None:
    handler, call, endpoint = made
    handler.on_message(HELLO)
    many = node_pb2.RouterMessage(pushes=[node_pb2.Push(call=call) for call in range(OPEN_CALLS)])
    handler.on_message(many.SerializeToString())
    assert not call.reading
    endpoint.stream.answer_push(node_pb2.PushAnswer(call=1))
    assert call.reading


async def test_answers_that_no_message_can_carry_leave_in_several(made, monkeypatch) -> None:
    monkeypatch.setattr("gateway.delivery.node_server.MAX_MESSAGE_SIZE", 3000)
    handler, call, endpoint = made
    handler.on_message(HELLO)
    await turn()
    for number in range(1, 9):
        endpoint.stream.answer_push(node_pb2.PushAnswer(call=number, deliveries=[node_pb2.Delivered(user="u" * 1000)]))
    await turn()
    assert [one.call for message in call.sent for one in message.pushes] == list(range(1, 9))
    assert len(call.sent) == 1 + 4


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (node_pb2.RouterMessage(ping=1).SerializeToString(), INVALID_ARGUMENT),
        (node_pb2.RouterMessage(hello=node_pb2.RouterHello(epoch=6)).SerializeToString(), FAILED_PRECONDITION),
        (b"\xff\xff\xff", INTERNAL),
    ],
)
async def test_who_is_not_let_in(made, message: bytes, status: int) -> None:
    handler, _, endpoint = made
    with pytest.raises(StreamEnded) as refused:
        handler.on_message(message)
    assert refused.value.status == status
    handler.on_end(refused.value)
    assert endpoint.closed == 0


async def test_after_a_half_close_the_stream_ends_with_the_last_answer(made) -> None:
    handler, call, endpoint = made
    handler.on_message(HELLO)
    handler.on_message(node_pb2.RouterMessage(pushes=[node_pb2.Push(call=1)]).SerializeToString())
    handler.on_half_close()
    await turn()
    assert call.end_ is None
    endpoint.stream.answer_push(node_pb2.PushAnswer(call=1))
    await turn()
    assert call.end_ == (0, "")
    handler.on_end(StreamEnded(0, ""))
    assert endpoint.closed == 1


async def test_what_says_how_far_we_are_leaves_after_the_answers_that_it_covers(made, monkeypatch) -> None:
    monkeypatch.setattr("gateway.delivery.node_server.MAX_MESSAGE_SIZE", 3000)
    handler, call, endpoint = made
    handler.on_message(HELLO)
    await turn()
    for number in range(1, 9):
        endpoint.stream.answer_published(
            node_pb2.PushAnswer(call=number, deliveries=[node_pb2.Delivered(user="u" * 1000)])
        )
    endpoint.stream.handled(1, 8)
    await turn()
    answers = [answer.call for message in call.sent for answer in message.handled.answers]
    assert answers == list(range(1, 9))
    assert [len(message.handled.spans) for message in call.sent] == [0, 0, 0, 0, 1]


async def test_a_half_close_before_hello_ends_the_stream(made) -> None:
    handler, call, endpoint = made
    handler.on_half_close()
    await turn()
    assert call.end_ == (INVALID_ARGUMENT, "the first message must be hello")
    handler.on_end(StreamEnded(0, ""))
    assert (call.sent, endpoint.closed) == ([], 0)


async def test_hello_leaves_first_even_when_it_leaves_in_several_messages(made, monkeypatch) -> None:
    monkeypatch.setattr("gateway.delivery.node_server.MAX_MESSAGE_SIZE", 3000)
    handler, call, endpoint = made
    call.writable = False
    handler.on_message(HELLO)
    for number in range(1, 5):
        endpoint.stream.answer_push(node_pb2.PushAnswer(call=number, deliveries=[node_pb2.Delivered(user="u" * 1000)]))
    await turn()
    call.writable = True
    handler.on_writable()
    await turn()
    assert [message.hello.epoch for message in call.sent] == [7, 0]
    assert [one.call for message in call.sent for one in message.pushes] == [1, 2, 3, 4]


async def test_what_cannot_be_divided_leaves_whole(made, monkeypatch) -> None:
    monkeypatch.setattr("gateway.delivery.node_server.MAX_MESSAGE_SIZE", 3000)
    handler, call, endpoint = made
    handler.on_message(HELLO)
    await turn()
    endpoint.stream.answer_push(node_pb2.PushAnswer(call=1, deliveries=[node_pb2.Delivered(user="u" * 4000)]))
    await turn()
    assert [one.call for one in call.sent[-1].pushes] == [1]


async def test_nothing_is_sent_when_nothing_has_gathered(made) -> None:
    handler, call, _ = made
    handler.on_message(HELLO)
    await turn()
    handler.on_half_close()
    await turn()
    assert (len(call.sent), call.end_) == (1, (0, ""))
