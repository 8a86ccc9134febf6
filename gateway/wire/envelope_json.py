"""Core: `homing.json`, the envelope as one JSON object a text frame.

msgspec checks the syntax of what it skips, so a payload that is no JSON never passes, and neither does one nested past
all sense.
"""

import base64
import binascii
import json
from collections.abc import Callable

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.wire.envelope import (
    AuthUp,
    ContentType,
    Down,
    Envelope,
    Id,
    JoinUp,
    LeaveUp,
    PingUp,
    decode_error,
    judge_ack,
    judge_event,
    judge_simple,
    refuse,
)
from gateway.wire.frames import text_frame
from gateway.wire.ports import BadMessage, ClientMessage


class _EventUp(Struct, tag_field="type", tag="event"):
    event: str
    data: Raw
    content_type: ContentType | UnsetType = UNSET
    file: str | UnsetType = UNSET
    id: Id | UnsetType = UNSET
    traceparent: str = ""


class _AckUp(Struct, tag_field="type", tag="ack"):
    ack: Id
    data: Raw | UnsetType = UNSET
    content_type: ContentType | UnsetType = UNSET


class _OnlyId(Struct):
    id: Id | None = None


_Up = AuthUp | _EventUp | _AckUp | JoinUp | LeaveUp | PingUp
_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], _Up] = msgspec.json.Decoder(_Up).decode
_decode_keys = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_id = msgspec.json.Decoder(_OnlyId).decode
_decode_text = msgspec.json.Decoder(str).decode


class _Json:
    def frame(self, down: Down) -> bytes:
        return text_frame(_encode(down))

    def data(self, data: bytes, content_type: str) -> Raw | str:
        return base64.b64encode(data).decode() if content_type else Raw(data)


class JsonEnvelope(Envelope):
    """The codec of the subprotocol `homing.json`."""

    name = "homing.json"

    def __init__(self) -> None:
        super().__init__(_Json())

    def read(self, text: bool, payload: bytes) -> ClientMessage:
        if not text:
            raise BadMessage("homing.json takes text frames")
        try:
            up = _decode(payload)
            _refuse_repeated_keys(payload)
        except msgspec.ValidationError as error:
            refuse(str(error), _id_of(payload))
        except (msgspec.DecodeError, RecursionError) as error:
            raise decode_error(error) from None
        if isinstance(up, _EventUp):
            id = None if up.id is UNSET else up.id
            data, content_type = _payload(up.data, up.content_type, id)
            return judge_event(up.event, data, content_type, up.file, id, up.traceparent)
        if isinstance(up, _AckUp):
            return judge_ack(up.ack, *_payload(up.data, up.content_type, None))
        return judge_simple(up)


def _payload(data: Raw | UnsetType, content_type: str | UnsetType, id: int | None) -> tuple[bytes, str]:
    if data is UNSET:
        return b"", ""
    if content_type is UNSET:
        return bytes(data), ""
    try:
        return base64.b64decode(_decode_text(data), validate=True), content_type
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise BadMessage("data with a content_type is a base64 string", "data", id) from None


def _id_of(payload: bytes) -> int | None:
    try:
        return _decode_id(payload).id
    except msgspec.DecodeError:
        return None


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
