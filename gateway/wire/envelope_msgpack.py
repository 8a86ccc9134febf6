"""Core: `homing.msgpack`, the envelope as one msgpack map a binary frame.

The keys are homing.json's. A payload is always `bin`: its bytes, which are JSON unless `content_type` says otherwise.
"""

from collections.abc import Callable

import msgspec
from msgspec import UNSET, Struct, UnsetType

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
from gateway.wire.frames import binary_frame
from gateway.wire.ports import BadMessage, ClientMessage


class _EventUp(Struct, tag_field="type", tag="event"):
    event: str
    data: bytes
    content_type: ContentType | UnsetType = UNSET
    file: str | UnsetType = UNSET
    id: Id | UnsetType = UNSET
    traceparent: str = ""


class _AckUp(Struct, tag_field="type", tag="ack"):
    ack: Id
    data: bytes = b""
    content_type: ContentType | UnsetType = UNSET


class _OnlyId(Struct):
    id: Id | None = None


_Up = AuthUp | _EventUp | _AckUp | JoinUp | LeaveUp | PingUp
_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], _Up] = msgspec.msgpack.Decoder(_Up).decode
_decode_keys = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_decode_id = msgspec.msgpack.Decoder(_OnlyId).decode


class _Msgpack:
    def frame(self, down: Down) -> bytes:
        return binary_frame(_encode(down))

    def data(self, data: bytes, content_type: str) -> bytes:
        return data


class MsgpackEnvelope(Envelope):
    """The codec of the subprotocol `homing.msgpack`."""

    name = "homing.msgpack"

    def __init__(self) -> None:
        super().__init__(_Msgpack())

    def read(self, text: bool, payload: bytes) -> ClientMessage:
        if text:
            raise BadMessage("homing.msgpack takes binary frames")
        try:
            up = _decode(payload)
            if len(_decode_keys(payload)) != _announced(payload):
                raise BadMessage("a key stands twice in the message")
        except msgspec.ValidationError as error:
            refuse(str(error), _id_of(payload))
        except (msgspec.DecodeError, RecursionError) as error:
            raise decode_error(error) from None
        if isinstance(up, _EventUp):
            id = None if up.id is UNSET else up.id
            data, content_type = _payload(up.data, up.content_type, id)
            return judge_event(up.event, data, content_type, up.file, id, up.traceparent)
        if isinstance(up, _AckUp):
            return judge_ack(up.ack, *(_payload(up.data, up.content_type, None) if up.data else (b"", "")))
        return judge_simple(up)


def _payload(data: bytes, content_type: str | UnsetType, id: int | None) -> tuple[bytes, str]:
    if content_type is not UNSET:
        return data, content_type
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadMessage("data without a content_type is JSON", "data", id) from None
    return data, ""


def _announced(payload: bytes) -> int:
    """How many pairs the map says that it has (msgpack's fixmap, map 16, map 32)."""
    if payload[0] == 0xDE:
        return int.from_bytes(payload[1:3], "big")
    if payload[0] == 0xDF:
        return int.from_bytes(payload[1:5], "big")
    return payload[0] & 0x0F


def _id_of(payload: bytes) -> int | None:
    try:
        return _decode_id(payload).id
    except msgspec.DecodeError:
        return None
