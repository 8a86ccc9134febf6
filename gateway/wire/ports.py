"""The contracts between a client's transport, the codec spoken on it, and the connection that uses both.

A *transport* is one carrier of bytes to a client (a WebSocket here). It delivers each whole message to its *handler*,
a connection (`gateway.sessions.connection`), and writes finished frames. A *codec* turns values into messages and back;
a *framing* turns messages into the bytes that a transport writes. A push is encoded once per (codec, framing) and
shared by every receiver on the node (`gateway.wire.encoding`).
"""

from typing import Protocol

from gateway.wire.values import ClientMessage, ErrorReply, Hello, Messages, PushedMessage


class Codec(Protocol):
    """One client protocol's messages. Stateless and pure: one instance serves every connection of the process.

    Methods that encode return messages without framing, none where the protocol has no such message (a bare connection
    receives pushes only).
    """

    name: str  # the subprotocol, or socket.io; "" for bare
    namespace: str  # of Socket.IO; "/" for all others
    acks: bool  # whether its clients can answer a push

    def push(self, pushed: PushedMessage) -> Messages: ...
    def hello(self, hello: Hello) -> Messages: ...
    def reply(self, id: int, data: bytes, content_type: str) -> Messages: ...
    def ok(self, id: int) -> Messages: ...
    def joined(self, file: str) -> Messages: ...
    def left(self, file: str) -> Messages: ...
    def error(self, error: ErrorReply) -> Messages: ...
    def pong(self, id: int | None) -> Messages: ...
    def reconnect(self, after_ms: int, reason: str) -> Messages: ...
    def __hash__(self) -> int: ...


class MessageCodec(Codec, Protocol):
    """A codec of which each message from the client is one whole thing."""

    def read(self, text: bool, payload: bytes) -> ClientMessage:
        """One whole message from the client; raises BadMessage."""
        ...


class Framing(Protocol):
    """How messages become the bytes that one kind of transport writes. Stateless: equal framings are one object."""

    def frame(self, messages: Messages) -> bytes:
        """All messages, in order, as one piece that any transport with this framing may write."""
        ...

    def __hash__(self) -> int: ...


class ClientTransport(Protocol):
    """One open carrier of bytes to a client. No method waits."""

    @property
    def framing(self) -> Framing:
        """How messages are framed on it; when it changes the handler is told (`on_reframed`)."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether frames may still be sent: neither side has sent a close frame."""
        ...

    def send(self, frame: bytes) -> bool:
        """Write finished frames; True when the kernel took all of it at once (nothing is left in any buffer).

        On a transport that is not open nothing is written, and the answer is False.
        """
        ...

    def unsent(self) -> int:
        """Bytes still in this process's buffers."""
        ...

    def acknowledged(self) -> int:
        """Bytes that the client's side has acknowledged since the beginning, as far as the kernel knows; 0: it does
        not tell. Costs a system call: for deadlines, not for every write."""
        ...

    def is_lost(self) -> bool:
        """Whether the kernel has ended the connection (a reset, or a peer that is half-open), which the loop does not
        notice while nothing is read or written. Costs a system call."""
        ...

    @property
    def reading_paused(self) -> bool:
        """Whether nothing is read from the client now, so that no sign of life can arrive."""
        ...

    def ping(self) -> bool:
        """Send the protocol's own ping, unless earlier bytes wait still (False); any message or pong answers it."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close code, then end; a client that does not answer within 5 s is cut off. Idempotent."""
        ...

    def pause_reading(self) -> None:
        """Stop taking messages from the client (back-pressure)."""
        ...

    def resume_reading(self) -> None: ...


class TransportHandler(Protocol):
    """The owner of a transport. Called on the loop, one call at a time; must not block or raise."""

    def on_open(self, transport: ClientTransport) -> None:
        """The handshake is complete: frames may be sent from now on."""
        ...

    def on_message(self, text: bool, payload: bytes) -> None:
        """One whole message (text is valid UTF-8)."""
        ...

    def on_too_large(self, size: int) -> None:
        """A message of `size` bytes was over the limit and is discarded."""
        ...

    def on_pong(self) -> None:
        """The client answered a ping."""
        ...

    def on_partial(self) -> None:
        """Bytes arrived that complete no message yet: a sign of life."""
        ...

    def on_blocked(self) -> None:
        """The kernel did not take everything of what the transport sent by itself (a pong, a ping); `on_writable`
        follows."""
        ...

    def on_writable(self) -> None:
        """The kernel has everything sent so far (called only after a `send` that returned False, or `on_blocked`)."""
        ...

    def on_reframed(self) -> None:
        """Messages are framed in another way from now on: the client has upgraded its transport."""
        ...

    def on_close(self, code: int, reason: str) -> None:
        """The transport is gone. `code` and `reason` are this side's own if it closed first, else the client's (without
        control characters), else 1006. Called exactly once, also when the transport was lost between admission and
        `on_open`."""
        ...
