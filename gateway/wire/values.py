"""Core: the messages of the client protocols as values, both ways, whatever codec carries them."""

from typing import NamedTuple

import msgspec


class Message(NamedTuple):
    """One message of a client protocol before framing: its payload is the concatenation of `parts`."""

    text: bool  # UTF-8 text, else binary
    parts: tuple[bytes, ...]


Messages = tuple[Message, ...]
"""What a codec makes of one thing to send: usually one message; none where the protocol has no such message."""

NO_MESSAGES: Messages = ()


class Hello(msgspec.Struct, frozen=True):
    """The first message to a homing.* client."""

    session: int
    user: str
    node: str
    files: tuple[str, ...]
    ping_ms: int
    max_bytes: int
    registered: bool


class PushedMessage(msgspec.Struct, frozen=True):
    """One push as a client receives it. `data` is carried as it is; `content_type` "" is JSON, already checked."""

    event: str
    data: bytes
    content_type: str
    push_id: str
    file: str  # "" unless the push was to a file
    ack: int | None = None  # an answer is wanted under this number
    traceparent: str = ""


class ErrorReply(msgspec.Struct, frozen=True):
    """An `error` message to a client; `code` is a key of `gateway.close_codes.ERRORS`."""

    code: str
    message: str
    id: int | None = None
    field: str = ""
    retry_ms: int | None = None


class Auth(msgspec.Struct, frozen=True):
    token: str
    id: int | None = None


class ClientEvent(msgspec.Struct, frozen=True):
    """An event that a client sends. `data` is the payload's bytes untouched; `event` "" on a bare connection."""

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
