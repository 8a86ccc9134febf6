"""The other side of a session, without a network: a transport that records, and a clock that a test turns."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from gateway.identity.identity import Identity
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection, ConnectionHandler
from gateway.sessions.session import Session
from gateway.sessions.stage import Stage
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.frames import WEBSOCKET
from gateway.wire.ports import Codec, TransportHandler

JSON = JsonEnvelope()
BUDGET = Budget(unsent_bytes=1000, stalled_s=10)


class RecordingTransport:
    """A `ClientTransport` that keeps what is sent. `stuck`: the kernel takes nothing; `drain`: it takes all again."""

    framing = WEBSOCKET

    def __init__(self, handler: TransportHandler) -> None:
        self.handler = handler
        self.frames: list[bytes] = []
        self.stuck = False
        self.pings = 0
        self.closing: tuple[int, str] | None = None
        self.reading = True
        self.lost = False  # by the kernel, unnoticed
        self.acked = 0  # bytes that the client's side has acknowledged
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

    def acknowledged(self) -> int:
        return self.acked

    def is_lost(self) -> bool:
        return self.lost

    @property
    def reading_paused(self) -> bool:
        return not self.reading

    def drain(self) -> None:
        self.stuck = False
        self._unsent = 0
        self.handler.on_writable()

    def ping(self) -> bool:
        self.pings += 1
        return True

    def close(self, code: int, reason: str) -> None:
        self.closing = self.closing or (code, reason)

    def abort(self) -> None:
        self.closing = self.closing or (1006, "")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class RecordingHandler:
    """A `ConnectionHandler` that keeps what it is called with."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, object]] = []

    def on_open(self, connection: Connection) -> None:
        self.notes.append(("open", connection))

    def on_message(self, connection: Connection, text: bool, payload: bytes) -> None:
        self.notes.append(("message", payload))

    def on_too_large(self, connection: Connection, size: int) -> None:
        self.notes.append(("too large", size))

    def on_blocked(self, connection: Connection) -> None:
        self.notes.append(("blocked", connection))

    def on_close(self, connection: Connection, code: int, reason: str) -> None:
        self.notes.append(("close", (code, reason)))
        for session in connection.sessions:
            if session.stage is not Stage.CLOSED:
                session.close()

    def request_reconnect(self, connection: Connection, *, close: bool) -> None:
        self.notes.append(("request reconnect", connection))


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


def make_session(sid: int = 1, user: str = "ada", codec: Codec | None = None) -> Session:
    """A session that is REGISTERING."""
    return Session(sid, identity(user), codec or JSON, 0)


def open_connection(handler: ConnectionHandler, *sessions: Session, budget: Budget = BUDGET) -> Connection:
    """A connection on a recording transport; sessions are attached by whoever tests."""
    connection = Connection(handler, budget, sessions)
    connection.on_open(RecordingTransport(connection))
    return connection


def open_session(sid: int = 1, user: str = "ada", codec: Codec | None = None, budget: Budget = BUDGET) -> Session:
    """A session that is CONNECTED, on a recording transport."""
    session = make_session(sid, user, codec)
    session.attach(open_connection(RecordingHandler(), session, budget=budget))
    return session


def connection_of(session: Session) -> Connection:
    """The connection of a connected session."""
    connection = session.connection
    assert isinstance(connection, Connection)
    return connection


def leave(session: Session) -> None:
    """The client of a connected session is gone, without a close frame."""
    connection_of(session).on_close(1006, "")


def transport_of(session: Session) -> RecordingTransport:
    """The recording transport of a connected session."""
    transport = connection_of(session)._transport
    assert isinstance(transport, RecordingTransport)
    return transport
