"""A client that is not identified yet, and a session: one type per stage of an incarnation.

Both are what sits behind a connection (`gateway.wire.ports.Peer`). They hold state and write frames; what a client's
words *do* is decided by the `SessionHandler` behind them (`gateway.service`). A session exists, and is found by pushes,
from the moment its registration begins; what arrives before the handshake is written is held and written right after
it, so that nothing is lost and nothing is pushed before "connected" (protocol.md, "The door").
"""

from typing import TYPE_CHECKING, Protocol

from gateway.identity.identity import Identity
from gateway.outcome import DROPPED_SLOW, OFFLINE, WRITTEN
from gateway.sessions.budget import Budget
from gateway.wire.ports import Codec, Connection

if TYPE_CHECKING:
    from gateway.door.values import Arrival


class OutcomeSink(Protocol):
    """A push that still waits for the verdict on some sessions."""

    def settle(self, session: "Session", outcome: int) -> None:
        """Tell the outcome for one session; more than one telling, or one after the report, is ignored."""
        ...


class SessionHandler(Protocol):
    """What clients' doings are handed to. Called on the loop; must not block or raise."""

    def newcomer_opened(self, newcomer: "UnauthenticatedClient") -> None: ...
    def newcomer_said(self, newcomer: "UnauthenticatedClient", text: bool, payload: bytes) -> None: ...
    def newcomer_gone(self, newcomer: "UnauthenticatedClient") -> None: ...
    def session_opened(self, session: "Session") -> None: ...
    def session_said(self, session: "Session", text: bool, payload: bytes) -> None: ...
    def session_behind(self, session: "Session") -> None: ...
    def session_gone(self, session: "Session", code: int, reason: str) -> None: ...


class UnauthenticatedClient:
    """A homing.* client whose handshake carried no token: its first message must be `auth`, within 5 s."""

    __slots__ = ("arrival", "connection", "desk", "identifying", "ticket")

    def __init__(self, desk: SessionHandler, arrival: "Arrival") -> None:
        self.desk = desk
        self.arrival = arrival
        self.connection: Connection | None = None
        self.identifying = False  # its token is good and the session is being registered
        self.ticket = 0  # of the 5 s, on the desk's deadlines

    def opened(self, connection: Connection) -> None:
        self.connection = connection
        self.desk.newcomer_opened(self)

    def message(self, text: bool, payload: bytes) -> None:
        self.desk.newcomer_said(self, text, payload)

    def pong(self) -> None:
        """Nothing was asked of it."""

    def writable(self) -> None:
        """Nothing is owed to it."""

    def closed(self, code: int, reason: str) -> None:
        self.connection = None
        self.desk.newcomer_gone(self)


class Session:
    """One client that a backend can address."""

    __slots__ = (
        "asked",
        "bad_in_a_row",
        "codec",
        "connected_at",
        "connection",
        "desk",
        "files",
        "gone",
        "held",
        "identity",
        "owed",
        "paused",
        "pinged",
        "registered",
        "seq",
        "sid",
        "ticket",
        "traceparent",
        "user",
    )

    def __init__(
        self, desk: SessionHandler, sid: int, arrival: "Arrival", identity: Identity, connected_at: int
    ) -> None:
        self.desk = desk
        self.sid = sid
        self.user = identity.user
        self.identity = identity
        self.codec: Codec = arrival.codec
        self.traceparent = arrival.traceparent
        self.connected_at = connected_at  # ms since the Unix epoch
        self.files: tuple[str, ...] = ()  # kept by the index
        self.connection: Connection | None = None
        self.gone = False
        self.registered = False
        self.held: list[tuple[bytes, OutcomeSink]] | None = []  # None once frames may flow
        self.owed: list[OutcomeSink] | None = None  # pushes whose frames are not with the kernel yet
        self.paused = False  # not read from, because the event bus is full: no sign of life can be seen
        self.asked = False  # a ping is out, and no sign of life since
        self.pinged = False  # the last thing the heartbeat did was to ask
        self.ticket = 0  # of the heartbeat
        self.bad_in_a_row = 0
        self.seq = 0  # X-Seq of the last event

    # What the connection says ---------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        self.connection = connection
        self.desk.session_opened(self)

    def message(self, text: bool, payload: bytes) -> None:
        self.asked = False
        self.desk.session_said(self, text, payload)

    def pong(self) -> None:
        self.asked = False

    def writable(self) -> None:
        owed, self.owed = self.owed, None
        for debt in owed or ():
            debt.settle(self, WRITTEN)

    def closed(self, code: int, reason: str) -> None:
        self.connection = None
        self.gone = True
        owed, self.owed = self.owed, None
        held, self.held = self.held, None
        self.desk.session_gone(self, code, reason)
        for debt in owed or ():
            debt.settle(self, OFFLINE)
        for _, debt in held or ():
            debt.settle(self, OFFLINE)

    # What goes to the client ----------------------------------------------------------------------------------------

    def write(self, frame: bytes, debt: OutcomeSink, budget: Budget) -> int:
        """Give one push's frame to the connection. The outcome, or 0: `debt` will be told."""
        connection = self.connection
        if self.held is not None:
            return self._hold(frame, debt, budget)
        if connection is None or not connection.is_open:
            return OFFLINE
        unsent = connection.unsent()
        if unsent and not budget.allows(unsent, len(frame)):
            return DROPPED_SLOW
        if connection.send(frame):
            return WRITTEN
        if self.owed is None:
            self.owed = []
            self.desk.session_behind(self)
        self.owed.append(debt)
        return 0

    def tell(self, frame: bytes | None, budget: Budget) -> bool:
        """Send a message of the gateway's own (hello, ok, error, pong), where the protocol has it.

        False when it does not fit into the budget: the client asks and asks, and never reads.
        """
        connection = self.connection
        if frame is None or connection is None or not connection.is_open:
            return True
        if not budget.allows(connection.unsent(), len(frame)):
            return False
        if not connection.send(frame) and self.owed is None:
            self.owed = []
            self.desk.session_behind(self)
        return True

    def release(self, budget: Budget) -> None:
        """The handshake is written: from now on frames flow; first those that were held, in their order."""
        held, self.held = self.held, None
        for frame, debt in held or ():
            outcome = self.write(frame, debt, budget)
            if outcome:
                debt.settle(self, outcome)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; the desk hears `session_gone` when the connection has ended."""
        if self.connection is not None:
            self.connection.close(code, reason)

    def _hold(self, frame: bytes, debt: OutcomeSink, budget: Budget) -> int:
        assert self.held is not None
        if not budget.allows(sum(len(held) for held, _ in self.held), len(frame)):
            return DROPPED_SLOW
        self.held.append((frame, debt))
        return 0
