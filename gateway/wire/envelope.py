"""Core: the envelope of `homing.json` and `homing.msgpack`: one object or map a message (docs/protocol.md, "The
envelope").

What the two have in common stands here: the messages, their rules, and which field is to blame. How bytes become
messages and messages frames is theirs (`gateway.wire.envelope_json`, `envelope_msgpack`). A payload is only carried:
JSON data is spliced into a frame as it is, and cut out of one as its raw bytes.
"""

import re
from typing import Annotated, Any, NoReturn, Protocol, assert_type

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.wire.values import (
    Ack,
    Auth,
    BadMessage,
    ClientEvent,
    ClientMessage,
    ErrorReply,
    Hello,
    Join,
    Leave,
    Message,
    Messages,
    Ping,
    PushedMessage,
)
from observability.traceparent import checked

MAX_EVENT = 128  # bytes of an event's name
MAX_FILE = 256  # bytes of a file name

Id = Annotated[int, Meta(ge=0, lt=2**53)]  # what a JSON number holds in every language
ContentType = Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,128}\Z")]  # it becomes a header upstream

_find_field = re.compile(r"at `\$\.(\w+)|field `(\w+)`").search


class Down(Struct, tag_field="type", omit_defaults=True):
    """Base of what goes down: what is unset is absent."""


class HelloDown(Down, tag="hello", omit_defaults=False):
    session: str
    user: str
    node: str
    files: tuple[str, ...]
    ping_ms: int
    max_bytes: int
    registered: bool


class EventDown(Down, tag="event"):
    event: str
    data: Raw | str | bytes
    push: str
    content_type: str = ""
    file: str = ""
    ack: int | None = None
    traceparent: str = ""


class ReplyDown(Down, tag="reply"):
    id: int
    data: Raw | str | bytes | UnsetType = UNSET
    content_type: str = ""


class OkDown(Down, tag="ok"):
    id: int


class JoinedDown(Down, tag="joined"):
    file: str


class LeftDown(Down, tag="left"):
    file: str


class ErrorDown(Down, tag="error"):
    code: str
    message: str
    id: int | None = None
    field: str = ""
    retry_ms: int | None = None


class PongDown(Down, tag="pong"):
    id: int | None = None


class ReconnectDown(Down, tag="reconnect"):
    after_ms: int
    reason: str


class AuthUp(Struct, tag_field="type", tag="auth"):
    token: str
    id: Id | UnsetType = UNSET


class JoinUp(Struct, tag_field="type", tag="join"):
    file: str
    id: Id | UnsetType = UNSET


class LeaveUp(Struct, tag_field="type", tag="leave"):
    file: str
    id: Id | UnsetType = UNSET


class PingUp(Struct, tag_field="type", tag="ping"):
    id: Id | UnsetType = UNSET


class EnvelopeFormat(Protocol):
    """How one of the two carries messages and payloads."""

    text: bool  # in text frames, else in binary ones
    event: type[Any]  # what `decode` makes of an event

    def decode(self, payload: bytes) -> Any:  # noqa: ANN401 - its payload is the format's own affair
        """One message that a client sent; else msgspec's error that names the field, ValueError or RecursionError."""
        ...

    def has_repeated_key(self, payload: bytes) -> bool:
        """Whether a key stands twice: two readers may differ on which counts."""
        ...

    def find_id(self, payload: bytes) -> int | None:
        """The `id` of a message that is otherwise not of the envelope; raises as `decode` does."""
        ...

    def payload(self, up: Any) -> tuple[bytes, str]:  # noqa: ANN401
        """The payload of an event or an ack, and its type; BadMessage when it does not match the type."""
        ...

    def encode(self, down: Down) -> bytes:
        """The payload of one message to the client."""
        ...

    def data(self, data: bytes, content_type: str) -> Raw | str | bytes:
        """A payload as it stands in a message that goes down."""
        ...


class Envelope:
    """One codec: everything but how its carrier turns bytes into these messages and back."""

    namespace = "/"
    acks = True  # its clients can answer a push

    def __init__(self, format: EnvelopeFormat) -> None:
        self._format = format
        self._data = format.data

    def _message(self, down: Down) -> Messages:
        return (Message(self._format.text, (self._format.encode(down),)),)

    def read(self, text: bool, payload: bytes) -> ClientMessage:
        format = self._format
        if text is not format.text:
            raise BadMessage(f"this subprotocol takes {'text' if format.text else 'binary'} frames")
        try:
            up = format.decode(payload)
            if format.has_repeated_key(payload):
                raise BadMessage("a key stands twice in the message", "", _find_id(format, payload))
        except msgspec.ValidationError as error:
            _refuse(str(error), _find_id(format, payload))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BadMessage(_why_unreadable(error), "", _find_id(format, payload)) from None
        if isinstance(up, AuthUp | JoinUp | LeaveUp | PingUp):
            return _check_simple(up)
        data, content_type = format.payload(up)
        if isinstance(up, format.event):
            return _check_event(up, data, content_type)
        return Ack(up.ack, data, content_type)

    def push(self, pushed: PushedMessage) -> Messages:
        data = self._data(pushed.data, pushed.content_type)
        down = EventDown(
            pushed.event, data, pushed.push_id, pushed.content_type, pushed.file, pushed.ack, pushed.traceparent
        )
        return self._message(down)

    def hello(self, hello: Hello) -> Messages:
        down = HelloDown(
            str(hello.session),
            hello.user,
            hello.node,
            hello.files,
            hello.ping_ms,
            hello.max_bytes,
            hello.registered,
        )
        return self._message(down)

    def reply(self, id: int, data: bytes, content_type: str) -> Messages:
        return self._message(ReplyDown(id, self._data(data, content_type) if data else UNSET, content_type))

    def ok(self, id: int) -> Messages:
        return self._message(OkDown(id))

    def joined(self, file: str) -> Messages:
        return self._message(JoinedDown(file))

    def left(self, file: str) -> Messages:
        return self._message(LeftDown(file))

    def error(self, error: ErrorReply) -> Messages:
        down = ErrorDown(error.code, error.message, error.id, error.field, error.retry_ms)
        return self._message(down)

    def pong(self, id: int | None) -> Messages:
        return self._message(PongDown(id))

    def reconnect(self, after_ms: int, reason: str) -> Messages:
        return self._message(ReconnectDown(after_ms, reason))


def _check_event(up: Any, data: bytes, content_type: str) -> ClientEvent:  # noqa: ANN401 - as its carrier has it
    event, file, traceparent = up.event, up.file, up.traceparent
    id = None if up.id is UNSET else up.id
    if not 0 < len(event.encode()) <= MAX_EVENT:
        raise BadMessage(f"an event's name has 1 to {MAX_EVENT} bytes", "event", id)
    joined = "" if file is UNSET else _check_file(file, id)
    # A malformed traceparent is as good as none (W3C Trace Context §3.2.2.3): it must not cost the client its event.
    return ClientEvent(event, data, content_type, joined, id, checked(traceparent))


def _check_file(file: str, id: int | None) -> str:
    """The rule of a file name."""
    if not 0 < len(file.encode()) <= MAX_FILE:
        raise BadMessage(f"a file's name has 1 to {MAX_FILE} bytes", "file", id)
    return file


def _check_simple(up: AuthUp | JoinUp | LeaveUp | PingUp) -> ClientMessage:
    """The messages that carry no payload."""
    id = None if up.id is UNSET else up.id
    match up:
        case AuthUp():
            return Auth(up.token, id)
        case JoinUp():
            return Join(_check_file(up.file, id), id)
        case LeaveUp():
            return Leave(_check_file(up.file, id), id)
        case _:
            assert_type(up, PingUp)
            return Ping(id)


def _refuse(message: str, id: int | None) -> NoReturn:
    """A message that can be read but is not of the envelope: msgspec's words name the field."""
    found = _find_field(message)
    raise BadMessage(message, (found[1] or found[2]) if found else "", id) from None


def _find_id(format: EnvelopeFormat, payload: bytes) -> int | None:
    """The `id` of a message that is refused, so that its sender does not wait for an answer; None: not to be known."""
    try:
        return format.find_id(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _why_unreadable(error: Exception) -> str:
    """In words, why a message cannot be read at all."""
    if isinstance(error, RecursionError):
        return "the message is nested too deeply"
    return "a string is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
