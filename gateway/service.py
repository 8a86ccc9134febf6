"""The gateway behind the door: what happens when a client arrives, speaks, falls behind and goes.

It is the `AdmissionPort` of the door and the `SessionHandler` of the sessions. It decides nothing about bytes
(`gateway.wire`), nothing about identity (`gateway.identity`), and writes nothing to the registry but through
`SessionRegistration`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.close_codes import BAD_MESSAGES, DRAINING, NO_AUTH, OUR_FAULT, SLOW, UNAUTHORIZED
from gateway.door.values import Arrival, Refusal
from gateway.events import record
from gateway.events.port import EventSink
from gateway.events.traces import ClientTraces
from gateway.identity.identity import Identity
from gateway.identity.ports import Unauthorized, Verify
from gateway.registration.registering import SessionRegistration
from gateway.sessions.acks import Acks
from gateway.sessions.budget import Budget
from gateway.sessions.heartbeat import Heartbeat
from gateway.sessions.index import Index
from gateway.sessions.session import Session, UnauthenticatedClient
from gateway.sessions.timer import Timer
from gateway.views.port import NO_VIEWS, Views
from gateway.wire.ports import (
    Ack,
    Auth,
    BadMessage,
    ClientEvent,
    ClientMessage,
    ErrorReply,
    Hello,
    Join,
    Leave,
    Ping,
)
from observability.counters import Counters
from observability.tracing import OFF, Tracer
from registry.ids import Exhausted
from registry.lapse import LeaseState
from runtime.process.tasks import Tasks

log = logging.getLogger(__name__)

Deadline = Callable[[float], None]


class ClientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every client is told or held to."""

    ping_ms: int
    max_bytes: int
    max_files: int = 1000  # a session may have joined at once
    auth_within: float = 5.0  # seconds for the first `auth`
    bad_in_a_row: int = 10  # bad messages, then 4400


class Gateway:
    """Everything that a client's arrival, words and departure touch on this node."""

    def __init__(
        self,
        node: str,
        settings: ClientSettings,
        budget: Budget,
        verify: Verify,
        index: Index[Session],
        registering: SessionRegistration,
        sink: EventSink,
        heartbeat: Heartbeat,
        acks: Acks,
        counters: Counters,
        tracer: Tracer = OFF,
        views: Views = NO_VIEWS,
    ) -> None:
        self._traces = ClientTraces(tracer, node)
        self.node = node
        self.wait_lease_state: Callable[[], Awaitable[LeaseState]] = _always_held  # set by who can ask the routers
        self.open = False  # whether clients may come: not while starting or draining
        self.tasks = Tasks()
        self._settings = settings
        self._budget = budget
        self._verify = verify
        self._index = index
        self._registering = registering
        self._sink = sink
        self._heartbeat = heartbeat
        self._acks = acks
        self._counters = counters
        self._views = views
        self._loop = asyncio.get_running_loop()
        self.deadlines = Timer[Deadline](0.1, lambda deadline, now: deadline(now), self._loop)
        self._emptied = asyncio.Event()
        self._newcomers: set[UnauthenticatedClient] = set()
        self._paused: set[Session] = set()  # clients that are not read while the event bus is full

    # Arrivals -------------------------------------------------------------------------------------------------------

    async def enter(self, arrival: Arrival) -> UnauthenticatedClient | Session | Refusal:
        """The door's question. A session's answer comes when it is registered and reachable."""
        refusal = await self._judge(len(arrival.files))
        if refusal is not None:
            return refusal
        if arrival.identity is None:
            return UnauthenticatedClient(self, arrival)
        return await self._admit(arrival, arrival.identity, arrival.files)

    async def _judge(self, files: int) -> Refusal | None:
        """Whether somebody may come in now, at the door or with a late `auth`."""
        if not self.open:
            return self._refuse("this gateway takes no new clients now; connect again")
        if self._sink.full():
            return self._refuse("client events cannot be taken now; connect again", "busy")
        if files > self._settings.max_files:
            self._counters.connections_refused += 1
            return Refusal(403, "forbidden", f"at most {self._settings.max_files} files at once")
        if await self.wait_lease_state() in (LeaseState.LAPSED, LeaseState.FENCED):
            return self._refuse("this gateway may have lost its place in the registry; connect again")
        return None

    async def _admit(self, arrival: Arrival, identity: Identity, files: Sequence[str]) -> Session | Refusal:
        try:
            sid = self._registering.registrar.ids.ids(time.time_ns() // 1_000_000)
        except Exhausted:
            return self._refuse("this gateway cannot make new ids while etcd is away; connect again")
        session = Session(self, sid, arrival, identity, time.time_ns() // 1_000_000)
        came = self._traces.coming(session)
        incarnation = self._registering.registrar
        try:
            await self._registering.come(session, files)
        except BaseException:
            self._registering.go(session)
            raise
        if session.gone or self._registering.registrar is not incarnation:  # this node's incarnation ended meanwhile
            self._registering.go(session)
            return self._refuse("this gateway has just lost its place in the registry; connect again")
        if came is not None:
            came()
        return session

    async def wait_empty(self) -> None:
        """Until the last session is gone."""
        while self._index.sessions:
            self._emptied.clear()
            await self._emptied.wait()

    async def close(self) -> None:
        """End every short task and timer."""
        self.deadlines.close()
        self._heartbeat.close()
        await self.tasks.close()

    def _refuse(self, message: str, code: str = "unavailable") -> Refusal:
        self._counters.connections_refused += 1
        return Refusal(503, code, message, (("Retry-After", "1"),))

    def newcomer_opened(self, newcomer: UnauthenticatedClient) -> None:
        self._newcomers.add(newcomer)

        def late(_now: float) -> None:
            if newcomer.connection is not None and not newcomer.identifying:
                newcomer.connection.close(NO_AUTH.code, NO_AUTH.reason)

        self.deadlines.schedule(late, self._loop.time() + self._settings.auth_within)

    def newcomer_said(self, newcomer: UnauthenticatedClient, text: bool, payload: bytes) -> None:
        connection = newcomer.connection
        if connection is None or newcomer.identifying:
            return
        try:
            message = newcomer.arrival.codec.read(text, payload)
            if not isinstance(message, Auth):
                raise Unauthorized("the first message must be auth")
            identity = self._verify(message.token, time.time())
            refused = [file for file in newcomer.arrival.files if not identity.may_join(file)]
            if refused:
                raise Unauthorized("the token does not grant a file that was asked for")
        except (BadMessage, Unauthorized) as error:
            complaint = newcomer.arrival.codec.error(ErrorReply("unauthorized", str(error)))
            if complaint is not None:
                connection.send(complaint)
            connection.close(UNAUTHORIZED.code, UNAUTHORIZED.reason)
            return
        newcomer.identifying = True
        connection.pause_reading()
        self.tasks.start(self._identify(newcomer, identity, message.id))

    async def _identify(self, newcomer: UnauthenticatedClient, identity: Identity, id: int | None) -> None:
        arrival = newcomer.arrival
        try:
            admitted = await self._judge(len(arrival.files)) or await self._admit(arrival, identity, arrival.files)
        except Exception:
            if newcomer.connection is not None:
                newcomer.connection.close(OUR_FAULT.code, OUR_FAULT.reason)
            raise
        connection = newcomer.connection
        if isinstance(admitted, Refusal):
            if connection is not None:
                connection.close(DRAINING.code, DRAINING.reason)
            return
        if connection is None:  # it left meanwhile
            admitted.closed(1006, "")
            return
        self._newcomers.discard(newcomer)
        connection.peer = admitted
        admitted.opened(connection)
        if id is not None:
            admitted.tell(admitted.codec.ok(id), self._budget)
        connection.resume_reading()

    def newcomer_gone(self, newcomer: UnauthenticatedClient) -> None:
        """Nothing is kept of it; a registration under way finds its connection gone."""
        self._newcomers.discard(newcomer)

    def close_newcomers(self) -> None:
        """This gateway drains: whoever has not said who it is should do so elsewhere."""
        for newcomer in list(self._newcomers):
            if newcomer.connection is not None:
                newcomer.connection.close(DRAINING.code, DRAINING.reason)

    # Connected and closed --------------------------------------------------------------------------------------------

    def session_opened(self, session: Session) -> None:
        self._counters.connections_opened += 1
        hello = Hello(
            session.sid,
            session.user,
            self.node,
            session.files,
            self._settings.ping_ms,
            self._settings.max_bytes,
            session.registered,
        )
        session.tell(session.codec.hello(hello), self._budget)
        session.release(self._budget)
        self._heartbeat.begin(session)
        self._sink.publish_own(record.connected(session))
        for file in session.files:
            self._sink.publish_own(record.joined(session, file))
        self._views.changed(session)

    def session_behind(self, session: Session) -> None:
        owed = session.owed

        def still_behind(_now: float) -> None:
            if session.owed is owed:
                session.close(SLOW.code, SLOW.reason)

        self.deadlines.schedule(still_behind, self._loop.time() + self._budget.behind_s)

    def session_gone(self, session: Session, code: int, reason: str) -> None:
        self._registering.go(session)
        self._paused.discard(session)
        if not self._index.sessions:
            self._emptied.set()
        if session.seq:
            self._counters.connections_closed += 1
            self._heartbeat.end(session)
            self._sink.publish_own(record.disconnected(session, code, reason))
            self._views.gone(session)

    # What a client says ---------------------------------------------------------------------------------------------

    def session_said(self, session: Session, text: bool, payload: bytes) -> None:
        try:
            message = session.codec.read(text, payload)
        except BadMessage as bad:
            self._complain_of(session, bad)
        else:
            session.bad_in_a_row = 0
            self._act(session, message)

    def _act(self, session: Session, message: ClientMessage) -> None:
        match message:
            case ClientEvent():
                self._publish(session, message)
            case Ack(ack, data, content_type):
                self._acks.acked(session, ack, data, content_type)
            case Join(file, id):
                self._join(session, file, id)
            case Leave(file, id):
                self._leave(session, file, id)
            case Ping(id):
                self.tell(session, session.codec.pong(id))
            case Auth(token, id):
                self._refresh(session, token, id)

    def _publish(self, session: Session, event: ClientEvent) -> None:
        if event.file and event.file not in session.files:
            self._complain(session, ErrorReply("forbidden", "this file is not joined", event.id, "file"))
        elif not self._traces.publish(session, event, self._sink):
            self._say_busy(session, event.id)

    def _say_busy(self, session: Session, id: int | None) -> None:
        """The event bus is full: say so, and read no more from this client until there is room."""
        self._complain(session, ErrorReply("busy", "events cannot be taken now", id, retry_ms=1000))
        self._hold_back(session)

    def _hold_back(self, session: Session) -> None:
        if session.connection is None:
            return
        session.connection.pause_reading()
        session.paused = True
        if not self._paused:
            self.tasks.start(self._read_again_when_there_is_room())
        self._paused.add(session)

    async def _read_again_when_there_is_room(self) -> None:
        await self._sink.wait_room()
        paused, self._paused = self._paused, set()
        for session in paused:
            session.paused = session.asked = False
            if session.connection is not None:
                session.connection.resume_reading()

    def _join(self, session: Session, file: str, id: int | None) -> None:
        if self._sink.full():
            self._say_busy(session, id)
        elif not session.identity.may_join(file):
            self._complain(session, ErrorReply("forbidden", "the token does not grant this file", id, "file"))
        elif not self.has_room(session, file):
            text = f"at most {self._settings.max_files} files at once"
            self._complain(session, ErrorReply("forbidden", text, id, "file"))
        else:
            self.tasks.start(self._finish_join(session, self.join(session, file), id))

    async def _finish_join(self, session: Session, joining: Awaitable[None], id: int | None) -> None:
        await joining
        if id is not None:
            self.tell(session, session.codec.ok(id))

    def join(self, session: Session, file: str) -> Awaitable[None]:
        """Join a file, by the client's own grant or at the backend's word; await it to know that it is reachable.

        A session that is gone joins nothing.
        """
        fresh = file not in session.files
        commits = [] if session.gone else self._registering.join(session, file)

        async def wait() -> None:
            if commits:
                await self._registering.wait_reachable(commits)
            if fresh and file in session.files and not session.gone:
                self._sink.publish_own(record.joined(session, file))
                self._views.changed(session)

        return wait()

    def _leave(self, session: Session, file: str, id: int | None) -> None:
        if self._sink.full():
            self._say_busy(session, id)
            return
        self.leave(session, file)
        if id is not None:
            self.tell(session, session.codec.ok(id))

    def has_room(self, session: Session, file: str) -> bool:
        """Whether the session may join one more file, or has joined this one."""
        return file in session.files or len(session.files) < self._settings.max_files

    def leave(self, session: Session, file: str) -> None:
        """Leave a file; one that is not joined is no error."""
        if self._registering.leave(session, file):
            self._sink.publish_own(record.left(session, file))
            self._views.changed(session)

    def _refresh(self, session: Session, token: str, id: int | None) -> None:
        try:
            identity = self._verify(token, time.time())
            if identity.user != session.user:
                raise Unauthorized("the token is another user's")
        except Unauthorized as error:
            self._complain(session, ErrorReply("unauthorized", str(error), id, "token"))
            session.close(UNAUTHORIZED.code, UNAUTHORIZED.reason)
            return
        session.identity = identity
        if id is not None:
            self.tell(session, session.codec.ok(id))

    def _complain_of(self, session: Session, bad: BadMessage) -> None:
        self._counters.bad_messages += 1
        session.bad_in_a_row += 1
        self._complain(session, ErrorReply("bad_message", str(bad), bad.id, bad.field))
        if session.bad_in_a_row >= self._settings.bad_in_a_row:
            session.close(BAD_MESSAGES.code, BAD_MESSAGES.reason)

    def _complain(self, session: Session, complaint: ErrorReply) -> None:
        self.tell(session, session.codec.error(complaint))

    def tell(self, session: Session, frame: bytes | None) -> bool:
        """Send a message of the gateway's own. False: it asks and never reads, and is closed for it."""
        if session.tell(frame, self._budget):
            return True
        session.close(SLOW.code, SLOW.reason)
        return False


async def _always_held() -> LeaseState:
    return LeaseState.HELD
