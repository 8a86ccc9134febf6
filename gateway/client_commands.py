"""The protocol of `/ws` after authentication: what a client's messages do (a `ConnectionHandler`).

It speaks bare, `homing.json` and `homing.msgpack` by the session's codec. One session per connection.
"""

import logging
import time

import msgspec

from gateway.back_pressure import EventBackPressure, SlowConsumers
from gateway.close_codes import BAD_MESSAGES, DRAINING, RATE, UNAUTHORIZED
from gateway.events.traces import ClientTraces
from gateway.identity.ports import Unauthorized, Verify
from gateway.lifecycle import SessionLifecycle
from gateway.membership import FileMembership
from gateway.registration.session_registration import Commits
from gateway.sessions.acks import Acks
from gateway.sessions.connection import Connection
from gateway.sessions.rates import MessageRates
from gateway.sessions.session import Session
from gateway.token_expiry import TokenExpiry
from gateway.wire.values import (
    Ack,
    Auth,
    BadMessage,
    ClientEvent,
    ClientMessage,
    ErrorReply,
    Hello,
    Join,
    Leave,
    Messages,
    Ping,
)
from observability.counters import Counters
from runtime.events.port import EventSink
from runtime.process.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)

BUSY_RETRY_MS = 1000
RATE_RETRY_MS = 5000  # after a close with 4429
RECONNECT_WITHIN_MS = 1000  # in which clients of a draining node should come back, each at a random moment
MAX_BAD_IN_A_ROW = 10  # bad messages, then 4400


class ClientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every client is told in its `hello`."""

    node: str
    ping_ms: int
    max_bytes: int


class ClientCommands:
    """Serves every authenticated client of this node."""

    def __init__(
        self,
        settings: ClientSettings,
        verify: Verify,
        lifecycle: SessionLifecycle,
        membership: FileMembership,
        acks: Acks,
        sink: EventSink,
        events: EventBackPressure,
        slow: SlowConsumers,
        rates: MessageRates,
        expiry: TokenExpiry,
        traces: ClientTraces,
        tasks: BackgroundTasks,
        counters: Counters,
    ) -> None:
        self._settings = settings
        self._verify = verify
        self._lifecycle = lifecycle
        self._membership = membership
        self._acks = acks
        self._sink = sink
        self._events = events
        self._slow = slow
        self._rates = rates
        self._expiry = expiry
        self._traces = traces
        self._tasks = tasks
        self._counters = counters

    # The connection -------------------------------------------------------------------------------------------------

    def on_open(self, connection: Connection) -> None:
        for session in connection.sessions:
            connection.send(session.codec.hello(self._hello(session)))
            self._lifecycle.connect(session, connection)
            self._expiry.start(session)

    def on_blocked(self, connection: Connection) -> None:
        self._slow.watch(connection)

    def on_too_large(self, connection: Connection, size: int) -> None:
        session = connection.sessions[0]
        if not self._rates.take(connection, size):
            self._on_flood(connection, session)
            return
        text = f"{size} bytes in one message; at most {self._settings.max_bytes}"
        self._error(connection, session, ErrorReply("too_large", text))

    def on_close(self, connection: Connection, code: int, reason: str) -> None:
        self._events.forget(connection)
        for session in connection.sessions:
            self._expiry.cancel(session)
            self._lifecycle.end(session, connection, code, reason)
            facts = {"session": str(session.sid), "user": session.user, "code": code, "reason": reason}
            log.info("connection closed", extra=facts)

    def request_reconnect(self, connection: Connection, *, close: bool) -> None:
        sent = bool(connection.sessions)
        for session in connection.sessions:
            message = session.codec.reconnect(RECONNECT_WITHIN_MS, DRAINING.reason)
            sent = bool(message) and connection.send(message) and sent
        if close or not sent:
            connection.close(DRAINING)

    def _hello(self, session: Session) -> Hello:
        settings = self._settings
        return Hello(
            session.sid,
            session.user,
            settings.node,
            session.files,
            settings.ping_ms,
            settings.max_bytes,
            session.registered,
        )

    # Its messages ---------------------------------------------------------------------------------------------------

    def on_message(self, connection: Connection, text: bool, payload: bytes) -> None:
        session = connection.sessions[0]
        if not self._rates.take(connection, len(payload)):
            self._on_flood(connection, session)
            return
        try:
            message = session.codec.read(text, payload)
        except BadMessage as bad:
            self._on_bad_message(connection, session, bad)
        else:
            connection.bad_messages = 0
            self._act(connection, session, message)

    def _act(self, connection: Connection, session: Session, message: ClientMessage) -> None:
        match message:
            case ClientEvent():
                self._publish(connection, session, message)
            case Ack(ack, data, content_type):
                if self._acks.acked(session, ack, data, content_type):
                    self._rates.give_back(connection)
            case Join(file, id):
                self._join(connection, session, file, id)
            case Leave(file, id):
                self._leave(connection, session, file, id)
            case Ping(id):
                self._reply(connection, session.codec.pong(id))
            case Auth(token, id):
                self._refresh(connection, session, token, id)

    def _publish(self, connection: Connection, session: Session, event: ClientEvent) -> None:
        if event.file and event.file not in session.files:
            self._error(connection, session, ErrorReply("forbidden", "this file is not joined", event.id, "file"))
        elif not self._traces.publish(session, event, self._sink):
            self._busy(connection, session, event.id)

    def _busy(self, connection: Connection, session: Session, id: int | None) -> None:
        """The event buffer is full: answer so, and read no more from this client until there is room."""
        error = ErrorReply("busy", "events cannot be taken now", id, retry_ms=BUSY_RETRY_MS)
        self._error(connection, session, error)
        self._events.pause(connection)

    def _join(self, connection: Connection, session: Session, file: str, id: int | None) -> None:
        if self._events.full():
            self._busy(connection, session, id)
        elif not session.identity.may_join(file):
            self._error(connection, session, ErrorReply("forbidden", "the token does not grant this file", id, "file"))
        elif not self._membership.has_room(session, file):
            text = f"at most {self._membership.max_files} files at once"
            self._error(connection, session, ErrorReply("forbidden", text, id, "file"))
        else:
            commits = self._membership.join(session, file)
            self._tasks.start(self._finish_join(connection, session, commits, id))

    async def _finish_join(self, connection: Connection, session: Session, commits: Commits, id: int | None) -> None:
        await self._membership.wait_reachable(commits)
        self._ok(connection, session, id)

    def _leave(self, connection: Connection, session: Session, file: str, id: int | None) -> None:
        if self._events.full():
            self._busy(connection, session, id)
            return
        self._membership.leave(session, file)
        self._ok(connection, session, id)

    def _refresh(self, connection: Connection, session: Session, token: str, id: int | None) -> None:
        """A later `auth`: the new token's identity counts from now on; it must be the same user's."""
        try:
            identity = self._verify(token, time.time())
            if identity.user != session.user:
                raise Unauthorized("the token is another user's")
        except Unauthorized as error:
            self._error(connection, session, ErrorReply("unauthorized", str(error), id, "token"))
            connection.close(UNAUTHORIZED)
            return
        session.identity = identity
        self._expiry.restart(session)
        self._membership.leave_ungranted(session)
        self._ok(connection, session, id)

    def _on_flood(self, connection: Connection, session: Session) -> None:
        """One message too many for its rate (docs/promises.md, row 52): this one is not read any more."""
        self._counters.rate_closed += 1
        error = ErrorReply("rate", "too many messages, or too many bytes", retry_ms=RATE_RETRY_MS)
        self._error(connection, session, error)
        connection.close(RATE)

    def _on_bad_message(self, connection: Connection, session: Session, bad: BadMessage) -> None:
        self._counters.bad_messages += 1
        connection.bad_messages += 1
        self._error(connection, session, ErrorReply("bad_message", str(bad), bad.id, bad.field))
        if connection.bad_messages >= MAX_BAD_IN_A_ROW:
            connection.close(BAD_MESSAGES)

    # Its answers ----------------------------------------------------------------------------------------------------

    def _ok(self, connection: Connection, session: Session, id: int | None) -> None:
        if id is not None:
            self._reply(connection, session.codec.ok(id))

    def _error(self, connection: Connection, session: Session, error: ErrorReply) -> None:
        self._reply(connection, session.codec.error(error))

    def _reply(self, connection: Connection, messages: Messages) -> None:
        self._slow.send_or_close(connection, messages)
