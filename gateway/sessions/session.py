"""Core: a session, the client that a backend can address.

It holds what belongs to the client whatever carries it: id, user, files, codec, the sequence of its events, and its
stage (`gateway.sessions.stage`). What belongs to the carrier (transport, budget, heartbeat, unwritten pushes) is the
connection's (`gateway.sessions.connection`). Pushes find a session from the moment its registration begins; those that
arrive while no connection is attached are held, and written in their order when one is, unless their ttl has passed.
"""

from typing import Protocol

from gateway.close_codes import CloseCode
from gateway.identity.identity import Identity
from gateway.outcome import DROPPED_SLOW, EXPIRED, OFFLINE
from gateway.sessions.stage import Move, Stage, stage_after
from gateway.wire.encoding import Encoding, encoding_of
from gateway.wire.ports import Codec, Framing
from gateway.wire.values import Messages

HELD_BYTES = 256 * 1024  # of push data, for a session without a connection


class OutcomeSink(Protocol):
    """A push that waits for the outcome of some sessions."""

    @property
    def push_id(self) -> str: ...

    @property
    def repeat_key(self) -> tuple[str, str] | None:
        """Its caller and push_id, if a repeat of it must not be written again; else None."""
        ...

    def settle(self, session: "Session", outcome: int) -> None:
        """Take the outcome of one session; a second one for the same session is ignored."""
        ...


class SharedPush(OutcomeSink, Protocol):
    """One push that many sessions write."""

    size: int  # bytes of its data

    def is_expired(self) -> bool:
        """Whether its ttl has passed."""
        ...

    def frame(self, encoding: Encoding) -> bytes:
        """Its finished frames in this encoding; made once and shared by all sessions with the same encoding."""
        ...


class SessionConnection(Protocol):
    """The connection that carries a session, as the session and its users see it (`gateway.sessions.connection`)."""

    @property
    def seen_at(self) -> float: ...  # loop time at which the client was there, as far as the heartbeat knows
    @property
    def framing(self) -> Framing: ...
    def write(self, frame: bytes, session: "Session", sink: OutcomeSink) -> int: ...
    def send(self, messages: Messages) -> bool: ...
    def unsent(self) -> int: ...
    def close(self, why: CloseCode, reason: str = "") -> None: ...
    def disconnect(self, session: "Session", why: CloseCode, reason: str) -> None: ...
    def request_reconnect(self, *, close: bool) -> None: ...


class Session:
    """One addressable client."""

    __slots__ = (
        "backend_files",
        "codec",
        "connected_at",
        "connection",
        "encoding",
        "expiry_timer",
        "files",
        "held",
        "identity",
        "registered",
        "seq",
        "sid",
        "stage",
        "traceparent",
        "user",
    )

    def __init__(self, sid: int, identity: Identity, codec: Codec, connected_at: int, traceparent: str = "") -> None:
        """`connected_at`: ms since the Unix epoch."""
        self.sid = sid
        self.user = identity.user
        self.identity = identity
        self.codec = codec
        self.connected_at = connected_at
        self.traceparent = traceparent  # of the client's handshake; "" when not traced
        self.files: tuple[str, ...] = ()  # written by the index alone
        self.backend_files: tuple[str, ...] = ()  # of these, joined by the backend and not by the token's grant
        self.expiry_timer = 0  # the ticket of the token's end
        self.stage = Stage.REGISTERING
        self.connection: SessionConnection | None = None  # the attached one; only while CONNECTED
        self.encoding: Encoding | None = None  # how pushes are encoded on it
        self.held: list[SharedPush] | None = []  # pushes that wait for a connection; None while CONNECTED and CLOSED
        self.registered = False  # whether the registry has committed it
        self.seq = 0  # X-Seq of its last event record; 0: no record was published

    def attach(self, connection: SessionConnection) -> None:
        """A connection carries this session from now on; the held pushes are written first."""
        self.stage = stage_after(self.stage, Move.ATTACH)
        self.connection = connection
        self.encoding = encoding_of(self.codec, connection.framing)
        held, self.held = self.held, None
        for push in held or ():
            outcome = EXPIRED if push.is_expired() else self.write(push)
            if outcome:
                push.settle(self, outcome)

    def detach(self) -> None:
        """The connection is gone or carries this session no more; another one may attach."""
        self.stage = stage_after(self.stage, Move.DETACH)
        self.connection = self.encoding = None
        self.held = []

    def reencode(self) -> None:
        """The framing of its connection has changed."""
        assert self.connection is not None, "only a connection that is attached is reframed"
        self.encoding = encoding_of(self.codec, self.connection.framing)

    def close(self) -> None:
        """The session is over: held pushes were not delivered, later ones find nobody."""
        self.stage = stage_after(self.stage, Move.CLOSE)
        self.connection = self.encoding = None
        held, self.held = self.held, None
        for push in held or ():
            push.settle(self, OFFLINE)

    def write(self, push: SharedPush) -> int:
        """Write one push. The outcome, or 0: it is not known yet, and `push.settle` follows."""
        connection, encoding = self.connection, self.encoding
        if connection is not None and encoding is not None:
            return connection.write(push.frame(encoding), self, push)
        return self._hold(push)

    def _hold(self, push: SharedPush) -> int:
        if self.held is None:
            return OFFLINE
        if self.held and sum(held.size for held in self.held) + push.size > HELD_BYTES:
            return DROPPED_SLOW
        self.held.append(push)
        return 0
