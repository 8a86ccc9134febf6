"""Shell: long-polling that other nodes relay to this one, the owner of the connection."""

from gateway.engineio import ids
from gateway.engineio.connections import EngineConnections
from gateway.engineio.polls import post
from gateway.engineio.requests import BAD_REQUEST, UNKNOWN_ID, EngineError
from gateway.engineio.transport import EngineTransport
from gateway.nodes.decoding import decode
from homing.internal.v1 import node_pb2
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.status import INVALID_ARGUMENT, StreamEnded

Engines = EngineConnections[EngineTransport]


class RelayHandler:
    """One relayed request."""

    def __init__(self, engines: Engines, call: Call) -> None:
        self._engines = engines
        self._call = call
        self._poll: _RemotePoll | None = None
        self._begun = False

    def on_message(self, message: bytes) -> None:
        request = decode(node_pb2.RelayRequest, message)
        if self._begun:
            raise StreamEnded(INVALID_ARGUMENT, "one request for each call")
        self._begun = True
        id = ids.parse(request.connection)
        engine = self._engines.find(id) if id is not None else None
        if engine is None:
            self._refuse(UNKNOWN_ID)
        elif not request.poll:
            post(engine, request.body, self._answer_post)
        elif engine.is_polling:
            self._poll = _RemotePoll(engine, self._call)
            engine.on_poll(self._poll)
        else:
            self._refuse(BAD_REQUEST)

    def _answer_post(self, error: EngineError | None) -> None:
        if error is not None:
            self._refuse(error)
            return
        self._call.send(node_pb2.RelayAnswer(status=200, payload=b"ok").SerializeToString())
        self._call.end()

    def _refuse(self, error: EngineError) -> None:
        _refuse(self._call, error)

    def on_writable(self) -> None:
        """There is one answer."""

    def on_half_close(self) -> None:
        if self._poll is not None:
            self._poll.on_written()

    def on_end(self, how: StreamEnded) -> None:
        if self._poll is not None:
            self._poll.on_lost()


class _RemotePoll:
    """A GET that waits at another node (a `gateway.engineio.transport.Poll`)."""

    is_relayed = True

    def __init__(self, engine: EngineTransport, call: Call) -> None:
        self._engine = engine
        self._call = call
        self._answered = False
        self._over = False

    def answer(self, payload: bytes) -> bool:
        self._answered = True
        self._call.send(node_pb2.RelayAnswer(status=200, payload=payload).SerializeToString())
        return False

    def refuse(self) -> None:
        self._over = True
        _refuse(self._call, BAD_REQUEST)

    def on_written(self) -> None:
        """The other node's kernel has the answer for the client."""
        if self._answered and not self._over:
            self._over = True
            self._call.end()
            self._engine.on_poll_written(self)

    def on_lost(self) -> None:
        """The call has ended in another way."""
        if not self._over:
            self._over = True
            self._engine.on_poll_lost(self)


def _refuse(call: Call, error: EngineError) -> None:
    answer = node_pb2.RelayAnswer(status=error.status, code=error.code, message=error.message)
    call.send(answer.SerializeToString())
    call.end()
