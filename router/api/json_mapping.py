"""The API's messages as JSON: protobuf's JSON mapping, with JSON payloads in place (api.md, "HTTP").

In place of `data` a request may carry `json`, any JSON value, carried as it stands; in place of `ack_data` a report
shows `ack_json` when the ack is JSON. Names are the proto's own (snake_case); camelCase is read too.
"""

import base64
import re
from typing import Any, NamedTuple, TypeVar

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message

from homing.v1 import router_pb2
from router.push import CallRefused, bad

M = TypeVar("M", bound=Message)

_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_many = msgspec.json.Decoder(list[msgspec.Raw]).decode
_find_unknown = re.compile(r'no field named "([^"]+)"').search
_find_failed = re.compile(r"Failed to parse (\w+) field").search


def read(body: bytes, into: M) -> M:
    """The request that a body holds. Refused (INVALID_ARGUMENT) names the field."""
    fields = _names(body)
    payload = _take_json(fields) if "data" in into.DESCRIPTOR.fields_by_name else None
    _judge_base64(fields)
    _fill(fields, into)
    if payload is not None:
        into.data = payload  # type: ignore[attr-defined]  # only messages with data have json
    return into


class Unreadable(NamedTuple):
    """An item of a batch that is no push. `push_id`: "" when not even that can be read."""

    push_id: str
    why: CallRefused


def read_batch(body: bytes) -> list[router_pb2.PushRequest | Unreadable]:
    """The items of a batch: {"pushes": [...]}. One that cannot be read spoils none of the others."""
    fields = _names(body)
    unknown = sorted(set(fields) - {"pushes"})
    if unknown:
        raise bad(unknown[0], "no such field")
    try:
        bodies = _decode_many(fields.get("pushes", b"[]"))
    except msgspec.DecodeError:
        raise bad("pushes", "must be a list") from None
    return [_read_item(bytes(one)) for one in bodies]


def _read_item(body: bytes) -> router_pb2.PushRequest | Unreadable:
    try:
        return read(body, router_pb2.PushRequest())
    except CallRefused as refused:
        return Unreadable(_push_id_in(body), refused)


def _push_id_in(body: bytes) -> str:
    """What the caller will look for, if it stands there at all."""
    try:
        fields = _names(body)
        return msgspec.json.decode(fields.get("push_id", fields.get("pushId", b'""')), type=str)[:64]
    except (CallRefused, msgspec.MsgspecError):
        return ""


def write(message: Message) -> bytes:
    """A response as JSON. Every field is there, also zeros: a reader need not know the defaults."""
    fields = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    reports = [fields["report"]] if "report" in fields else fields.get("reports", [])
    originals = [message.report] if "report" in fields else getattr(message, "reports", [])  # type: ignore[attr-defined]
    for shown, report in zip(reports, originals, strict=True):
        for delivery, original in zip(shown.get("deliveries", []), report.deliveries, strict=True):
            _show_ack(delivery, original)
    return msgspec.json.encode(fields)


def _show_ack(shown: dict[str, Any], delivery: router_pb2.Delivery) -> None:
    if not delivery.ack_data:
        shown.pop("ack_data", None)
        shown.pop("ack_content_type", None)
    elif delivery.ack_content_type in ("", "application/json"):
        del shown["ack_data"]
        shown["ack_json"] = msgspec.Raw(delivery.ack_data)


def _names(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _decode_names(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CallRefused("INVALID_ARGUMENT", f"the body is no JSON object: {error}") from None


def _take_json(fields: dict[str, msgspec.Raw]) -> bytes | None:
    if "json" not in fields:
        return None
    if "data" in fields:
        raise bad("json", "either json or data, not both")
    given = fields.get("content_type", fields.get("contentType", msgspec.Raw(b'""')))
    if bytes(given) not in (b'""', b'"application/json"'):
        raise bad("content_type", "json is application/json")
    return bytes(fields.pop("json"))


def _judge_base64(fields: dict[str, msgspec.Raw]) -> None:
    """protobuf reads what is not base64 as nothing at all."""
    if "data" in fields:
        try:
            base64.b64decode(msgspec.json.decode(fields["data"], type=str), altchars=b"+/", validate=True)
        except (msgspec.MsgspecError, ValueError):
            raise bad("data", "not base64; a JSON payload may stand in json") from None


def _fill(fields: dict[str, msgspec.Raw], into: Message) -> None:
    try:
        json_format.ParseDict({name: msgspec.json.decode(value) for name, value in fields.items()}, into)
    except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
        raise CallRefused("INVALID_ARGUMENT", f"the body cannot be read: {error}") from None
    except json_format.ParseError as error:
        text = str(error)
        found = _find_unknown(text) or _find_failed(text)
        if found is None:
            raise CallRefused("INVALID_ARGUMENT", text) from None
        raise bad(found[1], "no such field" if _find_unknown(text) else text) from None
