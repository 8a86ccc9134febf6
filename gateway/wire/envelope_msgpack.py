"""Core: `homing.msgpack`, the envelope as one msgpack map a binary frame.

The keys are homing.json's. A payload is always `bin`: its bytes, which are JSON unless there is a `content_type`.
"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.wire.envelope import AuthUp, ContentType, Envelope, Id, JoinUp, LeaveUp, PingUp
from gateway.wire.values import BadMessage
from runtime.lone_surrogates import is_json


class _EventUp(Struct, tag_field="type", tag="event"):
    event: str
    data: bytes
    content_type: ContentType | UnsetType = UNSET
    file: str | UnsetType = UNSET
    id: Id | UnsetType = UNSET
    traceparent: str = ""


class _AckUp(Struct, tag_field="type", tag="ack"):
    ack: Id
    data: bytes | UnsetType = UNSET
    content_type: ContentType | UnsetType = UNSET


class _OnlyId(Struct):
    id: Id | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode_keys = msgspec.msgpack.Decoder(dict[str, Raw]).decode
_decode_id = msgspec.msgpack.Decoder(_OnlyId).decode


class _Msgpack:
    text = False
    event = _EventUp
    decode = msgspec.msgpack.Decoder(AuthUp | _EventUp | _AckUp | JoinUp | LeaveUp | PingUp).decode

    encode = _encode

    def data(self, data: bytes, content_type: str) -> bytes:
        return data

    def payload(self, up: _EventUp | _AckUp) -> tuple[bytes, str]:
        if up.data is UNSET:
            return b"", ""
        if up.content_type is not UNSET:
            return up.data, up.content_type
        if not is_json(up.data):
            id = up.id if isinstance(up, _EventUp) and up.id is not UNSET else None
            raise BadMessage("data without a content_type is JSON", "data", id)
        return up.data, ""

    def find_id(self, payload: bytes) -> int | None:
        return _decode_id(payload).id

    def has_repeated_key(self, payload: bytes) -> bool:
        return len(_decode_keys(payload)) != _announced(payload)


class MsgpackEnvelope(Envelope):
    """The codec of the subprotocol `homing.msgpack`."""

    name = "homing.msgpack"

    def __init__(self) -> None:
        super().__init__(_Msgpack())


def _announced(payload: bytes) -> int:
    """The number of pairs that the map announces (msgpack's fixmap, map 16, map 32)."""
    if payload[0] == 0xDE:
        return int.from_bytes(payload[1:3], "big")
    if payload[0] == 0xDF:
        return int.from_bytes(payload[1:5], "big")
    return payload[0] & 0x0F
