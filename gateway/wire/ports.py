"""What the wire promises to the sessions behind it, and what it asks of them.

A *connection* is one client transport with a protocol on it (RFC 6455 here). It hands each whole message to its *peer*
(a client that is not identified yet, or a session) and writes finished frames. A *codec* turns the peer's messages into
frames and back; a push is encoded once per codec and shared by every receiver on the node.
"""

from typing import Protocol

import msgspec


class Hello(msgspec.Struct, frozen=True):
    """What a homing.* client hears first."""

    session: int
    user: str
    node: str
    files: tuple[str, ...]
    ping_ms: int
    max_bytes: int
    registered: bool


class Pushed(msgspec.Struct, frozen=True):
    """One push as clients see it. `data` is carried as it is; `content_type` "" is JSON, already checked."""

    event: str
    data: bytes
    content_type: str
    push_id: str
    file: str  # "" unless the push was to a file
    ack: int | None = None  # an answer is wanted under this number
    traceparent: str = ""


class ErrorReply(msgspec.Struct, frozen=True):
    """An `error` message to a client; `code` is one of protocol.md's."""

    code: str
    message: str
    id: int | None = None
    field: str = ""
    retry_ms: int | None = None


class Auth(msgspec.Struct, frozen=True):
    token: str
    id: int | None = None


class ClientEvent(msgspec.Struct, frozen=True):
    """Something a client says. `data` is the payload's bytes untouched; `event` "" on a bare connection."""

    event: str
    data: bytes
    content_type: str = ""
    file: str = ""
    id: int | None = None
    traceparent: str = ""


class Join(msgspec.Struct, frozen=True):
    file: str
    id: int | None = None


class Leave(msgspec.Struct, frozen=True):
    file: str
    id: int | None = None


class Ping(msgspec.Struct, frozen=True):
    id: int | None = None


class Ack(msgspec.Struct, frozen=True):
    """A client's answer to the push that carried this `ack`."""

    ack: int
    data: bytes = b""
    content_type: str = ""


ClientMessage = Auth | ClientEvent | Ack | Join | Leave | Ping


class BadMessage(Exception):
    """A message that the codec's protocol does not allow; the connection lives on. `field` names the place."""

    def __init__(self, message: str, field: str = "", id: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.id = id


class Codec(Protocol):
    """One client protocol's messages. Stateless and pure: one instance serves every connection of the process.

    Methods that encode return a finished frame, ready to be written to any number of connections, or None where the
    protocol has no such message (a bare connection hears only pushes).
    """

    name: str  # the subprotocol, "" for bare
    acks: bool  # whether its clients can answer a push

    def push(self, pushed: Pushed) -> bytes: ...
    def hello(self, hello: Hello) -> bytes | None: ...
    def reply(self, id: int, data: bytes, content_type: str) -> bytes | None: ...
    def ok(self, id: int) -> bytes | None: ...
    def error(self, complaint: ErrorReply) -> bytes | None: ...
    def pong(self, id: int | None) -> bytes | None: ...
    def reconnect(self, after_ms: int, reason: str) -> bytes | None: ...

    def read(self, text: bool, payload: bytes) -> ClientMessage:
        """One whole message from the client; raises BadMessage."""
        ...


class Connection(Protocol):
    """One open client transport. Nothing here waits."""

    peer: "Peer"  # who sits behind it; replaced when an unidentified client becomes a session
    peer_address: str  # host:port, for logs

    @property
    def is_open(self) -> bool:
        """Whether frames may still be sent: neither side has said goodbye."""
        ...

    def send(self, frame: bytes) -> bool:
        """Write one finished frame; True when the kernel took all of it at once (nothing is left in any buffer).

        On a connection that is not open nothing is written, and the answer is False.
        """
        ...

    def unsent(self) -> int:
        """Bytes still in this process's buffers."""
        ...

    def ping(self) -> None:
        """Send the protocol's own ping; any sign of life answers it."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a close code, then end; a peer that does not answer within 5 s is cut off. Idempotent."""
        ...

    def abort(self) -> None:
        """End now, without a word."""
        ...

    def pause_reading(self) -> None:
        """Stop taking messages from the client (back-pressure)."""
        ...

    def resume_reading(self) -> None: ...


class Peer(Protocol):
    """Whoever sits behind a connection. Called on the loop, one call at a time; must not block or raise."""

    def opened(self, connection: Connection) -> None:
        """The handshake is written: frames may flow from now on."""
        ...

    def message(self, text: bool, payload: bytes) -> None:
        """One whole message (text is already checked to be UTF-8)."""
        ...

    def pong(self) -> None:
        """The client answered a ping."""
        ...

    def writable(self) -> None:
        """Everything sent so far is with the kernel again (called only after a `send` that returned False)."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """The connection is gone: 1006 when the client never said goodbye. Called exactly once, also when the
        transport was lost between admission and `opened`."""
        ...
