"""Core: the envelope of `homing.json`: one JSON object a text frame (protocol.md, "The envelope").

A payload is only carried: `data` is spliced into a frame as it is, and cut out of one as its raw bytes. msgspec checks
the syntax of what it skips, so a payload that is no JSON never passes, and neither does one nested past all sense.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Annotated, NoReturn

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.wire.frames import text_frame
from gateway.wire.ports import (
    Auth,
    BadMessage,
    ClientEvent,
    ClientMessage,
    Complaint,
    Hello,
    Join,
    Leave,
    Ping,
    Pushed,
)

MAX_EVENT = 128  # bytes of an event's name
MAX_FILE = 256  # bytes of a guid

_Id = Annotated[int, Meta(ge=0, lt=2**53)]  # what a JSON number holds in every language
_Type = Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,128}\Z")]  # it becomes a header upstream


class _Down(Struct, tag_field="type", omit_defaults=True):
    """Base of what goes down: what is unset is absent."""


class _Hello(_Down, tag="hello", omit_defaults=False):
    session: str
    user: str
    node: str
    files: tuple[str, ...]
    ping_ms: int
    max_bytes: int
    registered: bool


class _EventDown(_Down, tag="event"):
    event: str
    data: Raw | str
    push: str
    content_type: str = ""
    file: str = ""
    ack: int | None = None
    traceparent: str = ""


class _Ok(_Down, tag="ok"):
    id: int


class _Error(_Down, tag="error"):
    code: str
    message: str
    id: int | None = None
    field: str = ""
    retry_ms: int | None = None


class _Pong(_Down, tag="pong"):
    id: int | None = None


class _Auth(Struct, tag_field="type", tag="auth"):
    token: str
    id: _Id | UnsetType = UNSET


class _EventUp(Struct, tag_field="type", tag="event"):
    event: str
    data: Raw
    content_type: _Type | UnsetType = UNSET
    file: str | UnsetType = UNSET
    id: _Id | UnsetType = UNSET
    traceparent: str = ""


class _Join(Struct, tag_field="type", tag="join"):
    file: str
    id: _Id | UnsetType = UNSET


class _Leave(Struct, tag_field="type", tag="leave"):
    file: str
    id: _Id | UnsetType = UNSET


class _Ping(Struct, tag_field="type", tag="ping"):
    id: _Id | UnsetType = UNSET


_Up = _Auth | _EventUp | _Join | _Leave | _Ping


class _OnlyId(Struct):
    id: _Id | None = None


_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], _Up] = msgspec.json.Decoder(_Up).decode
_decode_keys = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_id = msgspec.json.Decoder(_OnlyId).decode
_decode_text = msgspec.json.Decoder(str).decode
_match_traceparent = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_find_field = re.compile(r"at `\$\.(\w+)|field `(\w+)`").search


class JsonEnvelope:
    """The codec of the subprotocol `homing.json`."""

    name = "homing.json"

    def push(self, pushed: Pushed) -> bytes:
        data = base64.b64encode(pushed.data).decode() if pushed.content_type else Raw(pushed.data)
        down = _EventDown(
            pushed.event, data, pushed.push_id, pushed.content_type, pushed.file, pushed.ack, pushed.traceparent
        )
        return text_frame(_encode(down))

    def hello(self, hello: Hello) -> bytes:
        down = _Hello(
            str(hello.session),
            hello.user,
            hello.node,
            hello.files,
            hello.ping_ms,
            hello.max_bytes,
            hello.registered,
        )
        return text_frame(_encode(down))

    def ok(self, id: int) -> bytes:
        return text_frame(_encode(_Ok(id)))

    def error(self, complaint: Complaint) -> bytes:
        down = _Error(complaint.code, complaint.message, complaint.id, complaint.field, complaint.retry_ms)
        return text_frame(_encode(down))

    def pong(self, id: int | None) -> bytes:
        return text_frame(_encode(_Pong(id)))

    def read(self, text: bool, payload: bytes) -> ClientMessage:
        if not text:
            raise BadMessage("homing.json takes text frames")
        try:
            up = _decode(payload)
            _refuse_repeated_keys(payload)
        except msgspec.ValidationError as error:
            _refuse(str(error), payload)
        except msgspec.DecodeError as error:
            raise BadMessage(str(error)) from None
        except RecursionError:
            raise BadMessage("the message is nested too deeply") from None
        id = None if up.id is UNSET else up.id
        match up:
            case _EventUp():
                return _read_event(up, id)
            case _Auth():
                return Auth(up.token, id)
            case _Join():
                return Join(_judge_file(up.file, id), id)
            case _Leave():
                return Leave(_judge_file(up.file, id), id)
            case _Ping():
                return Ping(id)


def _read_event(up: _EventUp, id: int | None) -> ClientEvent:
    if not 0 < len(up.event.encode()) <= MAX_EVENT:
        raise BadMessage(f"an event's name has 1 to {MAX_EVENT} bytes", "event", id)
    file = "" if up.file is UNSET else _judge_file(up.file, id)
    # A malformed traceparent is as good as none (W3C Trace Context §3.2.2.3): it must not cost the client its event.
    traceparent = up.traceparent if _match_traceparent(up.traceparent) else ""
    if up.content_type is UNSET:
        return ClientEvent(up.event, bytes(up.data), "", file, id, traceparent)
    try:
        data = base64.b64decode(_decode_text(up.data), validate=True)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise BadMessage("data with a content_type is a base64 string", "data", id) from None
    return ClientEvent(up.event, data, up.content_type, file, id, traceparent)


def _judge_file(file: str, id: int | None) -> str:
    if not 0 < len(file.encode()) <= MAX_FILE:
        raise BadMessage(f"a file's name has 1 to {MAX_FILE} bytes", "file", id)
    return file


def _refuse(message: str, payload: bytes) -> NoReturn:
    """A message that is JSON but not of the envelope: name the field, and the id if that much can be read."""
    found = _find_field(message)
    field = (found[1] or found[2]) if found else ""
    try:
        id = _decode_id(payload).id
    except msgspec.DecodeError:
        id = None
    raise BadMessage(message, field, id) from None


def _refuse_repeated_keys(payload: bytes) -> None:
    """Two readers may differ on which of two equal keys counts, so there must not be two.

    The parser keeps one of them. So where what it kept, written again in one of the two usual ways, is the message,
    there was no other; a message that is written in another way is read once more.
    """
    pairs = [(key.encode(), value) for key, value in _decode_keys(payload).items()]
    if payload in (
        b"{%b}" % b",".join([b'"%b":%b' % pair for pair in pairs]),
        b"{%b}" % b", ".join([b'"%b": %b' % pair for pair in pairs]),
    ):
        return

    def judge(found: list[tuple[str, object]]) -> dict[str, object]:
        return {"repeated": len(dict(found)) != len(found)}

    # Numbers stay strings: a thousand digits are none of our business here.
    again = json.loads(payload, object_pairs_hook=judge, parse_int=str, parse_float=str)
    if again["repeated"]:
        raise BadMessage("a key stands twice in the message")
