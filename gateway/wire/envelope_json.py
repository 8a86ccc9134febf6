"""Core: `homing.json`, the envelope as one JSON object a text frame.

msgspec checks the syntax of what it skips, so a payload that is no JSON never passes, and neither does one nested past
all sense.
"""

import base64
import binascii
import json
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.wire.envelope import AuthUp, ContentType, Envelope, Id, JoinUp, LeaveUp, PingUp
from gateway.wire.values import BadMessage
from runtime.lone_surrogates import Substituted, substitute


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


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuthUp | _EventUp | _AckUp | JoinUp | LeaveUp | PingUp).decode
_decode_keys = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_id = msgspec.json.Decoder(_OnlyId).decode
_decode_text = msgspec.json.Decoder(str).decode


class _Json:
    text = True
    event = _EventUp
    encode = _encode

    def decode(self, payload: bytes) -> Any:  # noqa: ANN401 - one of the messages up
        try:
            return _decode(payload)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            substituted = substitute(payload)
            if substituted is None:
                raise
        return _restore(_decode(substituted.text), substituted)

    def data(self, data: bytes, content_type: str) -> Raw | str:
        return base64.b64encode(data).decode() if content_type else Raw(data)

    def payload(self, up: _EventUp | _AckUp) -> tuple[bytes, str]:
        if up.data is UNSET:
            return b"", ""
        if up.content_type is UNSET:
            return bytes(up.data), ""
        try:
            return base64.b64decode(_decode_text(up.data), validate=True), up.content_type
        except (msgspec.DecodeError, binascii.Error, ValueError):
            id = up.id if isinstance(up, _EventUp) and up.id is not UNSET else None
            raise BadMessage("data with a content_type is a base64 string", "data", id) from None

    def find_id(self, payload: bytes) -> int | None:
        try:
            return _decode_id(payload).id
        except msgspec.DecodeError:
            substituted = substitute(payload)
            return None if substituted is None else _decode_id(substituted.text).id

    def has_repeated_key(self, payload: bytes) -> bool:
        try:
            return _has_repeated_key(payload)
        except msgspec.DecodeError:
            substituted = substitute(payload)
            if substituted is None:
                raise
            return _has_repeated_key(substituted.text)


class JsonEnvelope(Envelope):
    """The codec of the subprotocol `homing.json`."""

    name = "homing.json"

    def __init__(self) -> None:
        super().__init__(_Json())


def _restore(up: Any, substituted: Substituted) -> Any:  # noqa: ANN401 - one of the messages up
    """A message parsed from a substituted text, its payload as it was sent. Names may not have lone surrogates."""
    for field in up.__struct_fields__:
        value = getattr(up, field)
        if isinstance(value, str) and substituted.has_lone_surrogate(value):
            id = getattr(up, "id", None)
            raise BadMessage("a lone surrogate in a name", field, id if isinstance(id, int) else None)
        if isinstance(value, Raw):
            setattr(up, field, Raw(substituted.restore(bytes(value))))
    return up


def _has_repeated_key(payload: bytes) -> bool:
    """Two readers may differ on which of two equal keys counts, so there must not be two.

    The parser keeps one of them. Each key has a colon: where there are no more colons than it kept keys, it kept all.
    And where what it kept, written again in one of the two usual ways, is the message, there was no other; a message
    that is written in another way is read once more.
    """
    kept = _decode_keys(payload)
    if payload.count(b":") == len(kept):
        return False
    pairs = [(key.encode(), value) for key, value in kept.items()]
    if payload in (
        b"{%b}" % b",".join([b'"%b":%b' % pair for pair in pairs]),
        b"{%b}" % b", ".join([b'"%b": %b' % pair for pair in pairs]),
    ):
        return False

    def check(found: list[tuple[str, object]]) -> dict[str, object]:
        return {"repeated": len(dict(found)) != len(found)}

    # Numbers stay strings: a thousand digits are none of our business here.
    again = json.loads(payload, object_pairs_hook=check, parse_int=str, parse_float=str)
    return bool(again["repeated"])
