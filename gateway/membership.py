"""Joining and leaving files, by a client's own grant or by the backend's request."""

from gateway.events import record
from gateway.registration.session_registration import Commits, SessionRegistration
from gateway.sessions.session import Session
from gateway.sessions.stage import Stage
from gateway.views.port import Views
from runtime.events.port import EventSink


class FileMembership:
    """Which sessions have joined which files: in the index, the registry, the event records and the views."""

    def __init__(self, registration: SessionRegistration, sink: EventSink, views: Views, max_files: int) -> None:
        """`max_files`: that one session may have joined at once."""
        self.max_files = max_files
        self._registration = registration
        self._sink = sink
        self._views = views

    def has_room(self, session: Session, file: str) -> bool:
        """Whether the session may join one more file, or has joined this one."""
        return file in session.files or len(session.files) < self.max_files

    def join(self, session: Session, file: str) -> Commits:
        """Join a file; pushes that reach this node find the session from now on. `wait_reachable` of the result tells
        when every router's pushes do. A closed session joins nothing."""
        if session.stage is Stage.CLOSED:
            return []
        fresh = file not in session.files
        commits = self._registration.join(session, file)
        if fresh:  # published as it takes effect: before whatever the client does next
            self._sink.publish_own(record.joined(session, file))
            self._views.changed(session)
        return commits

    async def wait_reachable(self, commits: Commits) -> None:
        """Until every router's pushes reach what was joined, or the registry's time is over. Between two incarnations
        nobody reaches anything: then until the next one has begun, which registers what is joined."""
        if commits and not await self._registration.wait_reachable(commits):
            await self._registration.wait_replaced()

    def join_for_backend(self, session: Session, file: str) -> Commits:
        """The same by the backend's request: the client is told, and no token's end takes the file away."""
        fresh = file not in session.files
        commits = self.join(session, file)
        if file not in session.backend_files and session.stage is not Stage.CLOSED:
            session.backend_files = (*session.backend_files, file)
        if fresh and session.connection is not None:
            session.connection.send(session.codec.joined(file))
        return commits

    def leave_for_backend(self, session: Session, file: str) -> None:
        """Leave a file by the backend's request: the client is told."""
        joined = file in session.files
        self.leave(session, file)
        if joined and session.connection is not None:
            session.connection.send(session.codec.left(file))

    def leave_ungranted(self, session: Session) -> None:
        """A new token counts: leave what it does not grant, but for what the backend joined; the client is told."""
        for file in session.files:
            if file not in session.backend_files and not session.identity.may_join(file):
                self.leave_for_backend(session, file)

    def leave(self, session: Session, file: str) -> None:
        """Leave a file; one that is not joined is no error."""
        session.backend_files = tuple(other for other in session.backend_files if other != file)
        if self._registration.leave(session, file):
            self._sink.publish_own(record.left(session, file))
            self._views.changed(session)
