"""Shell: long-polling of connections that other nodes own, as the node does it where a client's request has arrived.

A request is relayed once. An owner that cannot be reached, or is lost before it answers, has an unknown connection.
"""

from typing import Protocol

from google.protobuf.message import DecodeError

from gateway.engineio.exchange import HttpExchange
from gateway.engineio.ids import ConnectionId
from gateway.engineio.requests import UNKNOWN_ID, EngineError
from gateway.nodes.channels import NodeChannels
from homing.internal.v1 import node_pb2
from observability.counters import Counters
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.status import StreamEnded
from runtime.process.background_tasks import BackgroundTasks

PATH = "/homing.internal.v1.Node/Relay"


class Relays:
    """Relays requests to owners (a `gateway.engineio.endpoint.ConnectionOwners`, as far as long-polling goes)."""

    def __init__(self, channels: NodeChannels, tasks: BackgroundTasks, counters: Counters) -> None:
        self._channels = channels
        self._tasks = tasks
        self._counters = counters

    def relay_poll(self, exchange: HttpExchange, id: ConnectionId) -> None:
        """Relay a GET, and answer it with what the owner sends."""
        self._start(_RelayedPoll(exchange), id, node_pb2.RelayRequest(connection=str(id), poll=True))

    def relay_post(self, exchange: HttpExchange, id: ConnectionId, body: bytes) -> None:
        """Relay a POST."""
        self._start(_RelayedPost(exchange), id, node_pb2.RelayRequest(connection=str(id), body=body))

    def _start(self, relayed: "_Relayed", id: ConnectionId, request: node_pb2.RelayRequest) -> None:
        self._counters.relayed += 1
        self._tasks.start(self._relay(relayed, id, request))

    async def _relay(self, relayed: "_Relayed", id: ConnectionId, request: node_pb2.RelayRequest) -> None:
        try:
            call = await self._channels.call(id.machine, PATH, relayed)
        except OSError:
            relayed.refuse(UNKNOWN_ID)
        else:
            relayed.begin(call, request)


class _Relayed(Protocol):
    """A request that is being relayed: the handler of its call."""

    def begin(self, call: Call, request: node_pb2.RelayRequest) -> None: ...
    def refuse(self, error: EngineError) -> None: ...
    def on_message(self, message: bytes) -> None: ...
    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...


class _RelayedPost:
    """A POST."""

    def __init__(self, exchange: HttpExchange) -> None:
        self._exchange = exchange
        self._answered = False

    def begin(self, call: Call, request: node_pb2.RelayRequest) -> None:
        call.send_and_half_close(request.SerializeToString())

    def refuse(self, error: EngineError) -> None:
        if not self._answered:
            self._answered = True
            self._exchange.refuse(error)

    def on_message(self, message: bytes) -> None:
        answer = _decode(message)
        if answer is None or answer.status != 200:
            self.refuse(_error(answer))
        else:
            self._answered = True
            self._answer(answer)

    def _answer(self, answer: node_pb2.RelayAnswer) -> None:
        self._exchange.reply(200, answer.payload)

    def on_writable(self) -> None:
        """There is one request."""

    def on_half_close(self) -> None:
        """Only servers receive a half-close."""

    def on_end(self, how: StreamEnded) -> None:
        self.refuse(UNKNOWN_ID)


class _RelayedPoll(_RelayedPost):
    """A GET. The owner learns by the half-close that the client's kernel has the answer."""

    def __init__(self, exchange: HttpExchange) -> None:
        super().__init__(exchange)
        self._call: Call | None = None
        self._lost = False
        exchange.on_lost = self._on_lost

    def begin(self, call: Call, request: node_pb2.RelayRequest) -> None:
        self._call = call
        call.send(request.SerializeToString())
        if self._lost:
            call.cancel()

    def _answer(self, answer: node_pb2.RelayAnswer) -> None:
        if self._exchange.reply(200, answer.payload, on_written=self._on_written):
            self._on_written()

    def _on_written(self) -> None:
        if self._call is not None:
            self._call.half_close()

    def _on_lost(self) -> None:
        """The client is gone: so is its poll."""
        self._lost = self._answered = True
        if self._call is not None:
            self._call.cancel()


def _decode(message: bytes) -> node_pb2.RelayAnswer | None:
    try:
        return node_pb2.RelayAnswer.FromString(message)
    except DecodeError:
        return None


def _error(answer: node_pb2.RelayAnswer | None) -> EngineError:
    return UNKNOWN_ID if answer is None else EngineError(answer.code, answer.message, answer.status)
