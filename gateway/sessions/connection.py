"""Core: a connection, one client's carrier of zero or more sessions.

It owns what belongs to the carrier: the transport, the byte budget, the pushes that the kernel has not taken yet, the
pause of reading, and the heartbeat's marks. It carries no session until the client has authenticated, one on `/ws`
afterwards; a protocol with namespaces has one per namespace. What arrives is given to its `ConnectionHandler`, which
speaks the client's protocol and may be exchanged (a client that authenticates late).
"""

from typing import Protocol

from gateway.close_codes import CloseCode
from gateway.outcome import DROPPED_SLOW, OFFLINE, WRITTEN
from gateway.sessions.budget import Budget
from gateway.sessions.rates import Bucket
from gateway.sessions.session import OutcomeSink, Session
from gateway.wire.ports import ClientTransport, Framing
from gateway.wire.values import Messages


class ConnectionHandler(Protocol):
    """The protocol that a client speaks. Called on the loop; must not block or raise."""

    def on_open(self, connection: "Connection") -> None:
        """The transport is open: messages may be sent."""
        ...

    def on_message(self, connection: "Connection", text: bool, payload: bytes) -> None:
        """One whole message."""
        ...

    def on_too_large(self, connection: "Connection", size: int) -> None:
        """One whole message of `size` bytes was over the limit and is discarded."""
        ...

    def on_blocked(self, connection: "Connection") -> None:
        """The kernel did not take everything; `connection.unwritten` holds the pushes that wait for it."""
        ...

    def on_close(self, connection: "Connection", code: int, reason: str) -> None:
        """The transport is gone, also one that never opened. Called exactly once, last."""
        ...

    def disconnect(self, connection: "Connection", session: Session, why: CloseCode, reason: str) -> None:
        """End one session of this connection at a backend's request, and the connection with its last."""
        ...

    def request_reconnect(self, connection: "Connection", *, close: bool) -> None:
        """Tell the client to connect elsewhere. `close`: and close; otherwise only when the protocol cannot say so."""
        ...


class Connection:
    """A `gateway.wire.ports.TransportHandler` with its state."""

    __slots__ = (
        "_budget",
        "_handler",
        "_transport",
        "answered_pings",
        "awaits_pong",
        "bad_messages",
        "bucket",
        "pinged",
        "seen_at",
        "sessions",
        "timer",
        "unwritten",
    )

    def __init__(self, handler: ConnectionHandler, budget: Budget, sessions: tuple[Session, ...] = ()) -> None:
        """Not open yet: `on_open` brings the transport."""
        self.sessions = sessions
        self.unwritten: list[tuple[Session, OutcomeSink]] | None = None  # None: the kernel has everything
        self.awaits_pong = False  # a ping was sent, and nothing arrived since
        self.pinged = False  # the heartbeat's last step was a ping
        self.answered_pings = 0  # up to as many as prove the connection stable
        self.seen_at = 0.0  # loop time at which the client was there, as far as the heartbeat knows
        self.timer = 0  # the heartbeat's ticket
        self.bad_messages = 0  # in a row
        self.bucket: Bucket | None = None  # what it may send now; None: it is full
        self._handler = handler
        self._budget = budget
        self._transport: ClientTransport | None = None  # None: not open yet, or gone

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self._transport is not None and self._transport.is_open

    @property
    def framing(self) -> Framing:
        """The framing of the open transport."""
        assert self._transport is not None, "only an open connection has a framing"
        return self._transport.framing

    @property
    def handler(self) -> ConnectionHandler:
        """Who speaks the client's protocol."""
        return self._handler

    def adopt(self, transport: ClientTransport) -> None:
        """The transport is open already, and was another node's."""
        self._transport = transport

    def hand_over(self) -> list[tuple[Session, OutcomeSink]]:
        """The client is another node's from now on. The answer: whose pushes are not with the kernel."""
        self._transport = None
        unwritten, self.unwritten = self.unwritten, None
        return unwritten or []

    def switch_to(self, handler: ConnectionHandler) -> None:
        """Another handler serves this client from now on."""
        self._handler = handler

    # To the client --------------------------------------------------------------------------------------------------

    def write(self, frame: bytes, session: Session, sink: OutcomeSink) -> int:
        """Write a push's finished frames. The outcome, or 0: the kernel has not taken everything, `sink` is told."""
        transport = self._transport
        if transport is None or not transport.is_open:
            return OFFLINE
        if self.unwritten is not None and not self._budget.allows(transport.unsent(), len(frame)):
            return DROPPED_SLOW
        if transport.send(frame):
            return WRITTEN
        if self.unwritten is None:
            self._become_blocked()
        self.unwritten.append((session, sink))  # type: ignore[union-attr]
        return 0

    def send(self, messages: Messages) -> bool:
        """Send messages of the gateway's own, where the protocol has any. False: over the budget, nothing was sent."""
        transport = self._transport
        if not messages or transport is None or not transport.is_open:
            return True
        frame = transport.framing.frame(messages)
        if not self._budget.allows(transport.unsent(), len(frame)):
            return False
        if not transport.send(frame) and self.unwritten is None:
            self._become_blocked()
        return True

    def ping(self) -> bool:
        """Send the transport's own ping. False: nothing was sent."""
        return self._transport is not None and self._transport.ping()

    def acknowledged(self) -> int:
        """Bytes that the client has acknowledged since the beginning; 0: unknown."""
        return self._transport.acknowledged() if self._transport is not None else 0

    def is_lost(self) -> bool:
        """Whether the kernel has ended the connection already."""
        return self._transport is not None and self._transport.is_lost()

    def unsent(self) -> int:
        """Bytes that are still in this process's buffers."""
        return self._transport.unsent() if self._transport is not None else 0

    def close(self, why: CloseCode, reason: str = "") -> None:
        """Close with this code; `reason` instead of the code's own. `on_close` follows when the client is gone."""
        if self._transport is not None:
            self._transport.close(why.code, reason or why.reason)

    def disconnect(self, session: Session, why: CloseCode, reason: str) -> None:
        """End one session, at a backend's request."""
        self._handler.disconnect(self, session, why, reason)

    def request_reconnect(self, *, close: bool) -> None:
        """Tell the client to connect elsewhere. `close`: and close; otherwise only when its protocol cannot say so, as
        who can opens the new connection first."""
        self._handler.request_reconnect(self, close=close)

    # Reading --------------------------------------------------------------------------------------------------------

    @property
    def reading_paused(self) -> bool:
        """Whether nothing is read from the client, so that no sign of life can be seen."""
        return self._transport is not None and self._transport.reading_paused

    def pause_reading(self) -> None:
        """Read nothing more from the client until `resume_reading`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self.awaits_pong = False
        if self._transport is not None:
            self._transport.resume_reading()

    # From the transport ---------------------------------------------------------------------------------------------

    def on_open(self, transport: ClientTransport) -> None:
        self._transport = transport
        self._handler.on_open(self)

    def on_message(self, text: bool, payload: bytes) -> None:
        self.awaits_pong = False
        self._handler.on_message(self, text, payload)

    def on_too_large(self, size: int) -> None:
        self.awaits_pong = False
        self._handler.on_too_large(self, size)

    def on_pong(self) -> None:
        self.awaits_pong = False

    def on_partial(self) -> None:
        self.awaits_pong = False

    def on_blocked(self) -> None:
        if self.unwritten is None:
            self._become_blocked()

    def on_reframed(self) -> None:
        for session in self.sessions:
            session.reencode()

    def on_writable(self) -> None:
        self._settle_unwritten(WRITTEN)

    def on_close(self, code: int, reason: str) -> None:
        self._transport = None
        self._handler.on_close(self, code, reason)
        self._settle_unwritten(OFFLINE)

    def _become_blocked(self) -> None:
        self.unwritten = []
        self._handler.on_blocked(self)

    def _settle_unwritten(self, outcome: int) -> None:
        unwritten, self.unwritten = self.unwritten, None
        for session, sink in unwritten or ():
            sink.settle(session, outcome)
