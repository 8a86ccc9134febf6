"""A push to a file may reach the new owner of a client on two ways: from a router, and forwarded by the old owner.

Whichever comes first is written and reported; the other one finds the session absent, so that it is counted once.
"""

from gateway.close_codes import CloseCode
from gateway.outcome import ABSENT, OFFLINE
from gateway.sessions.connection import Connection
from gateway.sessions.session import OutcomeSink, Session
from gateway.wire.ports import Framing
from gateway.wire.values import Messages


class RecentPushes:
    """The pushes of one client's sessions, from its take-over on."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, str]] = set()  # session, push_id
        self._repeated = False

    def guard(self, connection: Connection) -> "GuardedConnection":
        """The connection, on which nothing is written twice."""
        return GuardedConnection(self, connection)

    def is_repeat(self, session: Session, sink: OutcomeSink) -> bool:
        """Whether this push was written to this session; from now on it was."""
        key = session.sid, sink.push_id
        self._repeated = bool(sink.push_id) and key in self._seen
        self._seen.add(key)
        return self._repeated

    def outcome_for_owner(self, outcome: int) -> int:
        """What the old owner is outcome_for_owner of the write that has just ended."""
        return ABSENT if self._repeated else outcome


class GuardedConnection:
    """A connection of a client that was just taken over (a `gateway.sessions.session.SessionConnection`)."""

    def __init__(self, recent: RecentPushes, connection: Connection) -> None:
        self._recent = recent
        self._connection = connection

    @property
    def seen_at(self) -> float:
        return self._connection.seen_at

    @property
    def framing(self) -> Framing:
        return self._connection.framing

    def write(self, frame: bytes, session: Session, sink: OutcomeSink) -> int:
        """OFFLINE, which the fan-out takes for absent: it was written already."""
        if self._recent.is_repeat(session, sink):
            return OFFLINE
        return self._connection.write(frame, session, sink)

    def send(self, messages: Messages) -> bool:
        return self._connection.send(messages)

    def unsent(self) -> int:
        return self._connection.unsent()

    def close(self, why: CloseCode, reason: str = "") -> None:
        self._connection.close(why, reason)

    def disconnect(self, session: Session, why: CloseCode, reason: str) -> None:
        self._connection.disconnect(session, why, reason)

    def request_reconnect(self, *, close: bool) -> None:
        self._connection.request_reconnect(close=close)
