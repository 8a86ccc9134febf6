"""Shell: an upgrade that has landed on another node, as the owner of the connection sees it.

The other node begins, the client tries its WebSocket out there, and chooses it: then this node gives the connection's
state away, writes nothing more itself, and forwards what it still receives, until every router's table has the sessions
of the new owner and what was under way has arrived. A call that ends before that leaves all as it was.
"""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from gateway.delivery.dedup import Dedup
from gateway.door.values import Arrival
from gateway.engineio import ids
from gateway.engineio.connections import EngineConnections
from gateway.engineio.transport import EngineTransport
from gateway.nodes.decoding import decode
from gateway.nodes.forwarding import ForwardingConnection
from gateway.nodes.taken import pack_arrival, pack_session
from gateway.session_commands import SessionCommands
from gateway.sessions.connection import Connection
from gateway.sessions.session import Session
from gateway.sessions.timer import Deadlines
from gateway.socketio.client import SocketIoClient
from homing.internal.v1 import node_pb2
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.status import FAILED_PRECONDITION, NOT_FOUND, StreamEnded

MAX_AGE_NS = 30_000_000_000  # of a connection: what was written to it must be found quickly. Clients upgrade at once
FORWARD_SECONDS = 2.0  # for what routers have sent before their tables had the new owner

log = logging.getLogger(__name__)


class HandOvers(NamedTuple):
    """What the hand-overs of a node share."""

    engines: EngineConnections[EngineTransport]
    sessions: SessionCommands
    dedup: Dedup
    deadlines: Deadlines
    may_act: Callable[[], bool]  # whether this node is still the owner of anything, by its lease


class HandOverHandler:
    """One attempt (a `runtime.grpc_wire.call.StreamHandler`)."""

    def __init__(self, own: HandOvers, call: Call) -> None:
        self._own = own
        self._call = call
        self._engine: EngineTransport | None = None
        self._probe = _RemoteWebSocket(call)
        self._given: _GivenConnection | None = None

    def on_message(self, message: bytes) -> None:
        request = decode(node_pb2.TakeOverRequest, message)
        if self._engine is None:
            self._begin(request)
            return
        if self._given is not None:
            for reported in request.outcomes:
                self._given.forwarding.on_outcome(reported.number, reported.outcome)
        match request.step:
            case node_pb2.TakeOverRequest.PROBE:
                self._begin_probe(self._engine)
            case node_pb2.TakeOverRequest.TAKE if self._given is None:
                self._take(self._engine)
            case node_pb2.TakeOverRequest.REGISTERED if self._given is not None:
                self._own.deadlines.schedule_after(lambda _now: self._release(), FORWARD_SECONDS)

    def _begin(self, request: node_pb2.TakeOverRequest) -> None:
        id = ids.parse(request.connection)
        engine = self._own.engines.find(id) if id is not None else None
        if engine is None or not engine.is_polling:
            raise StreamEnded(NOT_FOUND, "unknown")
        self._engine = engine
        self._answer(node_pb2.TakeOverAnswer(done=request.step))

    def _begin_probe(self, engine: EngineTransport) -> None:
        is_old = time.monotonic_ns() - engine.began_ns > MAX_AGE_NS
        if is_old or not engine.begin_probe(self._probe):
            raise StreamEnded(FAILED_PRECONDITION, "another WebSocket is tried, or the connection is too old")
        self._answer(node_pb2.TakeOverAnswer(done=node_pb2.TakeOverRequest.PROBE))

    def _answer(self, answer: node_pb2.TakeOverAnswer) -> None:
        self._call.send(answer.SerializeToString())

    # Giving it away -------------------------------------------------------------------------------------------------

    def _take(self, engine: EngineTransport) -> None:
        connection = engine.handler
        if not isinstance(connection, Connection) or not engine.is_probed_by(self._probe):
            raise StreamEnded(FAILED_PRECONDITION, "this WebSocket was not tried")
        handler = connection.handler
        if isinstance(handler, SocketIoClient):
            handler.when_idle(lambda: self._give(engine, connection))
        else:
            self._give(engine, connection)

    def _give(self, engine: EngineTransport, connection: Connection) -> None:
        if not engine.is_probed_by(self._probe) or not self._own.may_act():
            self._call.end(FAILED_PRECONDITION, "the connection is over")
            return
        engine.settle_answered()  # before what is unwritten is given away: the new owner would not know of it
        taken = self._packed(engine, connection)
        self._own.sessions.hand_over(connection)
        taken.unsent = engine.hand_over()
        forwarding = ForwardingConnection(self._forward, connection.hand_over())
        for session in connection.sessions:
            session.detach()
            session.attach(forwarding)
        self._given = _GivenConnection(connection.sessions, forwarding)
        self._answer(node_pb2.TakeOverAnswer(done=node_pb2.TakeOverRequest.TAKE, taken=taken))

    def _packed(self, engine: EngineTransport, connection: Connection) -> node_pb2.TakenConnection:
        taken = node_pb2.TakenConnection()
        handler = connection.handler
        if isinstance(handler, SocketIoClient):
            taken.protocol, taken.msgpack = handler.arrival.codec.name, handler.uses_msgpack
            pack_arrival(handler.arrival, taken)
        else:
            pack_arrival(Arrival(connection.sessions[0].codec, None, (), ""), taken)
        for session in connection.sessions:
            written = self._own.dedup.written_to(session.sid, engine.began_ns, time.monotonic_ns())
            taken.sessions.append(pack_session(session, written))
        return taken

    def _forward(self, forwarded: node_pb2.Forwarded) -> None:
        self._answer(node_pb2.TakeOverAnswer(forwarded=[forwarded]))

    # The end --------------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        """Nothing comes any more: the sessions are the new owner's alone."""
        given, self._given = self._given, None
        if given is None:
            return
        given.forwarding.lose()
        for session in given.sessions:
            self._own.sessions.release(session)
        self._call.end()

    def on_writable(self) -> None:
        """What is forwarded is bounded by its own bytes."""

    def on_half_close(self) -> None:
        """The client has left the new owner, which has told everybody."""
        if self._given is not None:
            self._release()
        else:
            self._call.cancel()

    def on_end(self, how: StreamEnded) -> None:
        if self._engine is not None:
            self._engine.end_probe(self._probe)
        given, self._given = self._given, None
        if given is None:
            return
        log.warning("a connection was being taken over, and the other node is gone: %s", how)
        given.forwarding.lose()
        for session in given.sessions:
            self._own.sessions.end(session, None, 1006, "")


class _GivenConnection(NamedTuple):
    sessions: tuple[Session, ...]
    forwarding: ForwardingConnection


class _RemoteWebSocket:
    """The WebSocket on the other node, as far as its connection here concerns it."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def close(self, code: int, reason: str) -> None:
        """The connection is over."""
        self._call.end(FAILED_PRECONDITION, reason)
