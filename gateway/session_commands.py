"""What a session's client may do and is told, whatever protocol it speaks: connect, publish, join, leave, end."""

import logging

import msgspec

from gateway.back_pressure import EventBackPressure, SlowConsumers
from gateway.close_codes import RATE
from gateway.events.traces import ClientTraces
from gateway.lifecycle import SessionLifecycle
from gateway.membership import FileMembership
from gateway.registration.session_registration import Commits
from gateway.sessions.connection import Connection
from gateway.sessions.session import Session
from gateway.token_expiry import TokenExpiry
from gateway.wire.values import ClientEvent, ErrorReply, Hello, Messages
from observability.counters import Counters
from runtime.events.port import EventSink
from runtime.process.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)

BUSY_RETRY_MS = 1000
RATE_RETRY_MS = 5000  # after a close with 4429


class ClientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every client is told when it is connected."""

    node: str
    ping_ms: int
    max_bytes: int


class SessionCommands:
    """One for a node; the protocols' handlers call it."""

    def __init__(
        self,
        settings: ClientSettings,
        lifecycle: SessionLifecycle,
        membership: FileMembership,
        sink: EventSink,
        events: EventBackPressure,
        slow: SlowConsumers,
        expiry: TokenExpiry,
        traces: ClientTraces,
        tasks: BackgroundTasks,
        counters: Counters,
    ) -> None:
        self.settings = settings
        self._lifecycle = lifecycle
        self._membership = membership
        self._sink = sink
        self._events = events
        self._slow = slow
        self._expiry = expiry
        self._traces = traces
        self._tasks = tasks
        self._counters = counters

    # The session ----------------------------------------------------------------------------------------------------

    def connect(self, connection: Connection, session: Session) -> None:
        """The client may use its session from now on: tell it so, then write what was held."""
        connection.send(session.codec.hello(self._hello(session)))
        self._lifecycle.connect(session, connection)
        self._expiry.start(session)

    def end(self, session: Session, connection: Connection | None, code: int, reason: str) -> None:
        """The session is over; `connection`: None if that goes on."""
        self._expiry.cancel(session)
        self._lifecycle.end(session, connection, code, reason)
        facts = {"session": str(session.sid), "user": session.user, "code": code, "reason": reason}
        log.info("connection closed", extra=facts)

    def hand_over(self, connection: Connection) -> None:
        """The client is another node's from now on; its sessions stay here until `release`."""
        self.forget(connection)
        self._lifecycle.hand_over(connection)
        for session in connection.sessions:
            self._expiry.cancel(session)

    def release(self, session: Session) -> None:
        """The session is another node's: nothing comes for it here any more."""
        self._lifecycle.release(session)

    def resume(self, connection: Connection, session: Session) -> None:
        """The session was another node's: this connection carries it from now on, and its client is not told."""
        self._lifecycle.resume(session, connection)
        self._expiry.start(session)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        self._events.forget(connection)

    def watch_blocked(self, connection: Connection) -> None:
        """The kernel has not taken everything: a client without progress is closed."""
        self._slow.watch(connection)

    def _hello(self, session: Session) -> Hello:
        settings = self.settings
        return Hello(
            session.sid,
            session.user,
            settings.node,
            session.files,
            settings.ping_ms,
            settings.max_bytes,
            session.registered,
        )

    # What it does ---------------------------------------------------------------------------------------------------

    def publish(self, connection: Connection, session: Session, event: ClientEvent) -> None:
        """Hand an event to the bus."""
        if event.file and event.file not in session.files:
            self.refuse(connection, session, ErrorReply("forbidden", "this file is not joined", event.id, "file"))
        elif not self._traces.publish(session, event, self._sink):
            self._busy(connection, session, event.id)

    def _busy(self, connection: Connection, session: Session, id: int | None) -> None:
        """The event buffer is full: answer so, and read no more from this client until there is room."""
        error = ErrorReply("busy", "events cannot be taken now", id, retry_ms=BUSY_RETRY_MS)
        self.refuse(connection, session, error)
        self._events.pause(connection)

    def join(self, connection: Connection, session: Session, file: str, id: int | None) -> None:
        """Join a file, if the token grants it."""
        if self._events.full():
            self._busy(connection, session, id)
        elif not session.identity.may_join(file):
            self.refuse(connection, session, ErrorReply("forbidden", "the token does not grant this file", id, "file"))
        elif not self._membership.has_room(session, file):
            text = f"at most {self._membership.max_files} files at once"
            self.refuse(connection, session, ErrorReply("forbidden", text, id, "file"))
        else:
            commits = self._membership.join(session, file)
            self._tasks.start(self._finish_join(connection, session, commits, id))

    async def _finish_join(self, connection: Connection, session: Session, commits: Commits, id: int | None) -> None:
        await self._membership.wait_reachable(commits)
        self.ok(connection, session, id)

    def leave(self, connection: Connection, session: Session, file: str, id: int | None) -> None:
        """Leave a file."""
        if self._events.full():
            self._busy(connection, session, id)
            return
        self._membership.leave(session, file)
        self.ok(connection, session, id)

    def leave_ungranted(self, session: Session) -> None:
        """Its token has changed: leave what the new one does not grant."""
        self._expiry.restart(session)
        self._membership.leave_ungranted(session)

    def end_flood(self, connection: Connection, session: Session | None) -> None:
        """One message too many for its rate (docs/promises.md, row 52): this one is not read any more."""
        self._counters.rate_closed += 1
        if session is not None:
            error = ErrorReply("rate", "too many messages, or too many bytes", retry_ms=RATE_RETRY_MS)
            self.refuse(connection, session, error)
        connection.close(RATE)

    # What it is told ------------------------------------------------------------------------------------------------

    def ok(self, connection: Connection, session: Session, id: int | None) -> None:
        """The request with this id is done."""
        if id is not None:
            self.reply(connection, session.codec.ok(id))

    def refuse(self, connection: Connection, session: Session, error: ErrorReply) -> None:
        """Something was not done."""
        self.reply(connection, session.codec.error(error))

    def reply(self, connection: Connection, messages: Messages) -> None:
        """Send an answer; a client for which it does not fit is closed."""
        self._slow.send_or_close(connection, messages)
