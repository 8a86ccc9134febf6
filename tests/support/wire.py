"""The other side of a session, without a network: a connection that records, and a clock that a test turns."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from gateway.door.values import Arrival
from gateway.identity.identity import Identity
from gateway.sessions.session import Session, UnauthenticatedClient
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.ports import Codec, Peer


class RecordingConnection:
    """A `Connection` that keeps what is sent. `stuck`: the kernel takes nothing; `drain` is when it does again."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.peer_address = "203.0.113.1:5555"
        self.frames: list[bytes] = []
        self.stuck = False
        self.pings = 0
        self.closing: tuple[int, str] | None = None
        self.reading = True
        self._unsent = 0

    @property
    def is_open(self) -> bool:
        return self.closing is None

    def send(self, frame: bytes) -> bool:
        self.frames.append(frame)
        if self.stuck:
            self._unsent += len(frame)
        return not self.stuck

    def unsent(self) -> int:
        return self._unsent

    def drain(self) -> None:
        self.stuck = False
        self._unsent = 0
        self.peer.writable()

    def ping(self) -> None:
        self.pings += 1

    def close(self, code: int, reason: str) -> None:
        self.closing = self.closing or (code, reason)

    def abort(self) -> None:
        self.closing = self.closing or (1006, "")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class RecordingDesk:
    """A `SessionHandler` that only takes notes."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, object]] = []

    def newcomer_opened(self, newcomer: UnauthenticatedClient) -> None:
        self.notes.append(("newcomer opened", newcomer))

    def newcomer_said(self, newcomer: UnauthenticatedClient, text: bool, payload: bytes) -> None:
        self.notes.append(("newcomer said", payload))

    def newcomer_gone(self, newcomer: UnauthenticatedClient) -> None:
        self.notes.append(("newcomer gone", newcomer))

    def session_opened(self, session: Session) -> None:
        self.notes.append(("opened", session))

    def session_said(self, session: Session, text: bool, payload: bytes) -> None:
        self.notes.append(("said", payload))

    def session_behind(self, session: Session) -> None:
        self.notes.append(("behind", session))

    def session_gone(self, session: Session, code: int, reason: str) -> None:
        self.notes.append(("gone", (code, reason)))


class TurnedClock:
    """Stands for the loop's clock: timers run when the test says that time has passed."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., Any]) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, (), self)  # type: ignore[arg-type]
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def pass_seconds(self, seconds: float) -> None:
        """Run everything that is due on the way."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            self.now, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                handle._run()
        self.now = until

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """TimerHandle.cancel tells its loop."""


def identity(user: str = "ada", *files: str) -> Identity:
    """A good one."""
    return Identity(user, files, "test", 2e9)


def make_session(desk: Any, sid: int = 1, user: str = "ada", codec: Codec | None = None) -> Session:
    """A session that is not open yet."""
    arrival = Arrival(codec or JsonEnvelope(), identity(user), (), "203.0.113.1:5555")
    return Session(desk, sid, arrival, identity(user), 0)


def open_session(desk: Any, sid: int = 1, user: str = "ada", codec: Codec | None = None) -> Session:
    """A session whose frames flow, on a recording connection."""
    session = make_session(desk, sid, user, codec)
    session.opened(RecordingConnection(session))
    session.held = None
    return session


def connection_of(session: Session) -> RecordingConnection:
    """The recording connection of an open session."""
    connection = session.connection
    assert isinstance(connection, RecordingConnection)
    return connection
