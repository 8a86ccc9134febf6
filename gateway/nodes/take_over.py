"""Shell: the upgrade of a connection of another node, as the node sees it where the WebSocket has landed."""

import asyncio
import logging
import time
from typing import NamedTuple

from google.protobuf.message import DecodeError

from gateway.admission import Admission
from gateway.client_commands import ClientCommands
from gateway.close_codes import DRAINING, CloseCode, Retry
from gateway.delivery.dedup import Dedup
from gateway.door.address_limit import AddressLimit
from gateway.engineio.connections import EngineConnections
from gateway.engineio.ids import ConnectionId
from gateway.engineio.transport import EngineTransport
from gateway.engineio.websocket import ProbingWebSocket
from gateway.nodes.forwarding import UNSENT
from gateway.nodes.recent import RecentPushes
from gateway.nodes.taken import unpack_arrival, unpack_session
from gateway.outcome import OFFLINE, WRITTEN
from gateway.session_commands import SessionCommands
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection, ConnectionHandler
from gateway.sessions.session import Session, SessionConnection
from gateway.sessions.timer import Deadlines
from gateway.socketio.client import SocketIoClient
from gateway.socketio.services import Services
from gateway.wire.bare import BARE
from gateway.wire.engineio import ENGINE_WEBSOCKET, reframe
from gateway.wire.socketio import ROOT
from gateway.wire.socketio_codec import default_codec, msgpack_codec
from homing.internal.v1 import node_pb2
from observability.counters import Counters
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.status import StreamEnded
from runtime.process.background_tasks import BackgroundTasks

PATH = "/homing.internal.v1.Node/TakeOver"
RECENT_SECONDS = 10.0  # for which a push that comes on both ways is recognised

Requests = node_pb2.TakeOverRequest

log = logging.getLogger(__name__)


class TakeOvers(NamedTuple):
    """What the take-overs of a node share."""

    engines: EngineConnections[EngineTransport]
    addresses: AddressLimit
    socketio: Services
    commands: ClientCommands
    admission: Admission
    sessions: SessionCommands
    dedup: Dedup
    budget: Budget
    deadlines: Deadlines
    tasks: BackgroundTasks
    counters: Counters


class RemoteUpgrade:
    """One attempt: an `UpgradeTarget` for the WebSocket, and the handler of the call to the owner."""

    def __init__(self, own: TakeOvers, id: ConnectionId) -> None:
        self._own = own
        self._id = id
        self._call: Call | None = None
        self._probe: ProbingWebSocket | None = None
        self._connection: Connection | None = None  # once it is taken
        self._engine: EngineTransport | None = None
        self._sessions: dict[int, Session] = {}
        self._recent = RecentPushes()
        self._address = ""
        self.known: asyncio.Future[bool] = asyncio.get_running_loop().create_future()  # whether the owner has it

    def begin(self, call: Call) -> None:
        """The owner is connected: ask for the connection."""
        self._call = call
        self._send(Requests(step=Requests.BEGIN, connection=str(self._id)))

    def _send(self, request: node_pb2.TakeOverRequest) -> None:
        if self._call is not None:
            self._call.send(request.SerializeToString())

    # For the WebSocket (`gateway.engineio.websocket.UpgradeTarget`) ---------------------------------------------------

    def begin_probe(self, probe: ProbingWebSocket) -> None:
        self._probe = probe
        if self._call is None:
            probe.refuse()
        else:
            self._send(Requests(step=Requests.PROBE))

    def upgrade(self, probe: ProbingWebSocket) -> None:
        self._own.tasks.start(self._upgrade(probe))

    async def _upgrade(self, probe: ProbingWebSocket) -> None:
        refusal = await self._own.admission.check(0)
        if refusal is not None or self._call is None:
            self.give_up()
            probe.refuse()
        else:
            self._send(Requests(step=Requests.TAKE))

    def end_probe(self, probe: ProbingWebSocket) -> None:
        self._probe = None
        self.give_up()

    def give_up(self) -> None:
        """The owner keeps the connection."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    # From the owner (`runtime.grpc_wire.call.StreamHandler`) ----------------------------------------------------------

    def on_message(self, message: bytes) -> None:
        try:
            answer = node_pb2.TakeOverAnswer.FromString(message)
        except DecodeError:
            self.give_up()
            return
        if answer.done == Requests.BEGIN and not self.known.done():
            self.known.set_result(True)
        elif answer.done == Requests.PROBE and self._probe is not None:
            self._probe.answer()
        elif answer.done == Requests.TAKE and self._connection is None:
            self._take(answer.taken)
        for forwarded in answer.forwarded:
            self._on_forwarded(forwarded)

    def on_writable(self) -> None:
        """Little is sent."""

    def on_half_close(self) -> None:
        """Only servers receive a half-close."""

    def on_end(self, how: StreamEnded) -> None:
        self._call = None
        if not self.known.done():
            self.known.set_result(False)
        if self._connection is None and self._probe is not None:
            self._probe.refuse()

    # The connection is taken ----------------------------------------------------------------------------------------

    def _take(self, taken: node_pb2.TakenConnection) -> None:
        """From here on the connection is this node's."""
        probe = self._probe
        if probe is None:  # the client has left: nobody has the connection any more
            if self._call is not None:
                self._call.half_close()
            return
        self._own.counters.taken_over += 1
        handler, sessions = self._build(taken)
        connection = self._connection = Connection(handler, self._own.budget, sessions)
        engine = self._engine = EngineTransport(self._id, connection, self._own.deadlines, self._on_engine_end)
        self._address = taken.address
        self._own.addresses.enter(taken.address)
        self._own.engines.add(engine)
        engine.carry_by(probe.websocket)
        connection.adopt(engine)
        self._write_unsent(connection, engine, taken.unsent)
        now_ns = time.monotonic_ns()
        for session, packed in zip(sessions, taken.sessions, strict=True):
            self._sessions[session.sid] = session
            self._own.dedup.remember(session.sid, [(w.caller, w.push_id, w.age_ms) for w in packed.written], now_ns)
            self._own.sessions.resume(connection, session)
            session.connection = self._recent.guard(connection)
        if isinstance(handler, SocketIoClient):
            handler.adopt(connection)
        probe.switch_to(engine)
        self._own.tasks.start(self._register(connection, sessions, taken))

    def _build(self, taken: node_pb2.TakenConnection) -> tuple[ConnectionHandler, tuple[Session, ...]]:
        """The client's handler, and its sessions."""
        if taken.protocol:
            codec_of = msgpack_codec if taken.msgpack else default_codec
            sessions = tuple(unpack_session(packed, codec_of(packed.namespace)) for packed in taken.sessions)
            arrival = unpack_arrival(taken, default_codec(ROOT))
            return SocketIoClient.taken(self._own.socketio, arrival, taken.msgpack, sessions), sessions
        return self._own.commands, tuple(unpack_session(packed, BARE) for packed in taken.sessions)

    def _write_unsent(self, connection: Connection, engine: EngineTransport, unsent: bytes) -> None:
        """What waited for a poll goes first."""
        if not unsent:
            return
        frame = reframe([unsent], ENGINE_WEBSOCKET)
        if not connection.sessions:  # answers of the gateway's own, to a CONNECT that it has refused
            engine.send(frame)
            return
        outcome = connection.write(frame, connection.sessions[0], _Forwarded(self, UNSENT))
        if outcome:
            self._report(UNSENT, outcome)

    async def _register(
        self, connection: Connection, sessions: tuple[Session, ...], taken: node_pb2.TakenConnection
    ) -> None:
        """Claim the sessions in the registry; then their old owner may forget them."""
        for session, packed in zip(sessions, taken.sessions, strict=True):
            if not await self._own.admission.claim(session, packed.files):
                connection.close(DRAINING)
                return
        self._send(Requests(step=Requests.REGISTERED))
        self._own.deadlines.schedule_after(self._forget_recent, RECENT_SECONDS)

    def _forget_recent(self, _now: float) -> None:
        """What was under way has arrived: pushes take the usual way."""
        for session in self._sessions.values():
            if session.connection is not None:
                session.connection = self._connection

    def _on_engine_end(self, engine: EngineTransport) -> None:
        self._own.engines.remove(engine)
        self._own.addresses.leave(self._address)
        if self._call is not None:
            self._call.half_close()

    def _on_forwarded(self, forwarded: node_pb2.Forwarded) -> None:
        """Something that the old owner has still received."""
        connection, session = self._connection, self._sessions.get(forwarded.session)
        if connection is None or self._engine is None:
            return
        if forwarded.close_code:
            self._disconnect(connection, session, forwarded)
        elif not forwarded.number:
            self._engine.send(forwarded.frame)
        elif session is None or session.connection is None:
            self._report(forwarded.number, OFFLINE)
        else:
            self._write_forwarded(forwarded, session, session.connection)

    def _write_forwarded(self, forwarded: node_pb2.Forwarded, session: Session, connection: SessionConnection) -> None:
        """Write a push of the old owner's, and remember it for repeats, which come here."""
        sink = _Forwarded(self, forwarded.number, forwarded.push_id)
        outcome = connection.write(forwarded.frame, session, sink)
        if forwarded.dedup and outcome in (0, WRITTEN):
            self._own.dedup.remember(session.sid, [(forwarded.caller, forwarded.push_id, 0)], time.monotonic_ns())
        if outcome:
            self._report(forwarded.number, self._recent.outcome_for_owner(outcome))

    def _disconnect(self, connection: Connection, session: Session | None, forwarded: node_pb2.Forwarded) -> None:
        why = DRAINING if forwarded.close_code == DRAINING.code else CloseCode(forwarded.close_code, "", Retry.NEVER)
        if session is None:
            connection.close(why, forwarded.close_reason)
        else:
            connection.disconnect(session, why, forwarded.close_reason)

    def _report(self, number: int, outcome: int) -> None:
        self._send(Requests(outcomes=[node_pb2.ForwardedOutcome(number=number, outcome=outcome)]))

    def on_outcome(self, number: int, outcome: int) -> None:
        """What was not with the kernel at once has its outcome."""
        self._report(number, outcome)


class _Forwarded:
    """The outcome of what the old owner has forwarded (an OutcomeSink)."""

    def __init__(self, upgrade: RemoteUpgrade, number: int, push_id: str = "") -> None:
        self._upgrade = upgrade
        self._number = number
        self.push_id = push_id
        self.repeat_key = None  # the old owner remembers it, and so does this node

    def settle(self, session: Session, outcome: int) -> None:
        self._upgrade.on_outcome(self._number, outcome)
