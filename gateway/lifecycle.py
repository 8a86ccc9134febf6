"""What happens around a session's stages: event records, views, counters, the heartbeat, the registry."""

import asyncio

from gateway.events import record
from gateway.registration.session_registration import SessionRegistration
from gateway.sessions.connection import Connection
from gateway.sessions.heartbeat import Heartbeat
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from gateway.sessions.stage import Stage
from gateway.views.port import Views
from observability.counters import Counters
from runtime.events.port import EventSink


class SessionLifecycle:
    """Connects and ends sessions. Each is connected at most once per attachment, and ended exactly once."""

    def __init__(
        self,
        registration: SessionRegistration,
        index: Index[Session],
        sink: EventSink,
        heartbeat: Heartbeat,
        views: Views,
        counters: Counters,
    ) -> None:
        self._registration = registration
        self._index = index
        self._sink = sink
        self._heartbeat = heartbeat
        self._views = views
        self._counters = counters
        self._emptied = asyncio.Event()

    def connect(self, session: Session, connection: Connection) -> None:
        """The handshake is complete: attach the session, then publish its Connect and what it has joined."""
        session.attach(connection)
        self._counters.connections_opened += 1
        if not connection.seen_at:  # its first session
            self._heartbeat.begin(connection)
        self._sink.publish_own(record.connected(session))
        for file in session.files:
            self._sink.publish_own(record.joined(session, file))
        self._views.changed(session)

    def end(self, session: Session, connection: Connection | None, code: int, reason: str) -> None:
        """The session is over, also one that never connected, and one that its incarnation has closed before.
        `connection`: None if it never had one, or if that goes on."""
        if session.stage is not Stage.CLOSED:
            session.close()
        self._registration.unregister(session)
        if not self._index.sessions:
            self._emptied.set()
        if connection is not None:
            self._heartbeat.end(connection)
        if session.seq:  # its Connect was published
            self._counters.connections_closed += 1
            self._sink.publish_own(record.disconnected(session, code, reason))
            self._views.gone(session)

    def hand_over(self, connection: Connection) -> None:
        """Another node serves the client from now on."""
        self._heartbeat.end(connection)

    def release(self, session: Session) -> None:
        """Another node has the session, and tells of its end."""
        if session.stage is not Stage.CLOSED:
            session.close()
        self._registration.unregister(session)
        if not self._index.sessions:
            self._emptied.set()

    def resume(self, session: Session, connection: Connection) -> None:
        """Attach a session that was connected on another node: its Connect was published there."""
        session.attach(connection)
        if not connection.seen_at:
            self._heartbeat.begin(connection)
        self._views.changed(session)

    async def wait_no_sessions(self) -> None:
        """Until the last session is over."""
        while self._index.sessions:
            self._emptied.clear()
            await self._emptied.wait()
