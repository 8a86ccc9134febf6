"""Shell: the API's messages as JSON: protobuf's JSON mapping, with JSON payloads in place (docs/api.md, "HTTP").

In place of `data` a request may carry `json`: any JSON value, kept byte for byte. In place of `ack_data` a report shows
`ack_json` when the ack is JSON. Names are those of the .proto (snake_case); camelCase is accepted too.
"""

import base64
import re
from typing import Any, NamedTuple, TypeVar

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message

from homing.v1 import router_pb2
from router.push import CallRefused, invalid_argument
from runtime.lone_surrogates import substitute

M = TypeVar("M", bound=Message)

_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_many = msgspec.json.Decoder(list[msgspec.Raw]).decode
_find_unknown = re.compile(r'no field named "([^"]+)"').search
_find_failed = re.compile(r"Failed to parse (\w+) field").search


def decode(body: bytes, into: M) -> M:
    """Fill `into` from a body. Raises CallRefused, INVALID_ARGUMENT, naming the field."""
    fields = _decode_fields(body)
    payload = _take_json(fields) if "data" in into.DESCRIPTOR.fields_by_name else None
    _check_base64(fields)
    _fill(fields, into)
    if payload is not None:
        into.data = payload  # type: ignore[attr-defined]  # only messages with data have json
    return into


class UnreadablePush(NamedTuple):
    """An item of a batch that is no PushRequest. `push_id`: "" when the item has none that can be read."""

    push_id: str
    refused: CallRefused


def decode_batch(body: bytes) -> list[router_pb2.PushRequest | UnreadablePush]:
    """The items of a batch: {"pushes": [...]}. An unreadable item does not affect the others."""
    fields = _decode_fields(body)
    unknown = sorted(set(fields) - {"pushes"})
    if unknown:
        raise invalid_argument(unknown[0], "no such field")
    try:
        bodies = _decode_items(bytes(fields.get("pushes", b"[]")))
    except msgspec.DecodeError:
        raise invalid_argument("pushes", "must be a list") from None
    return [_decode_item(item) for item in bodies]


def _decode_item(body: bytes) -> router_pb2.PushRequest | UnreadablePush:
    try:
        return decode(body, router_pb2.PushRequest())
    except CallRefused as refused:
        return UnreadablePush(_push_id(body), refused)


def _push_id(body: bytes) -> str:
    """The push_id of an unreadable item, by which its caller finds the report; "" for none."""
    try:
        fields = _decode_fields(body)
        return msgspec.json.decode(fields.get("push_id", fields.get("pushId", b'""')), type=str)[:64]
    except (CallRefused, msgspec.MsgspecError):
        return ""


def encode(message: Message) -> bytes:
    """A response as JSON, with every field, zeros included: a reader need not know the defaults."""
    fields = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for route in fields.get("routes", ()):
        route.setdefault("sessions", None)  # unknown is not zero
    reports = [fields["report"]] if "report" in fields else fields.get("reports", [])
    originals = [message.report] if "report" in fields else getattr(message, "reports", [])  # type: ignore[attr-defined]
    for shown, report in zip(reports, originals, strict=True):
        for delivery, original in zip(shown.get("deliveries", []), report.deliveries, strict=True):
            _put_ack(delivery, original)
    return msgspec.json.encode(fields)


def _put_ack(shown: dict[str, Any], delivery: router_pb2.Delivery) -> None:
    if not delivery.ack_data:
        shown.pop("ack_data", None)
        shown.pop("ack_content_type", None)
    elif delivery.ack_content_type in ("", "application/json"):
        del shown["ack_data"]
        shown["ack_json"] = msgspec.Raw(delivery.ack_data)


def _decode_fields(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _decode_names(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        substituted = substitute(body) if isinstance(error, msgspec.DecodeError) else None
        if substituted is None:
            raise CallRefused("INVALID_ARGUMENT", f"the body is no JSON object: {error}") from None
    try:
        fields = _decode_names(substituted.text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CallRefused("INVALID_ARGUMENT", f"the body is no JSON object: {error}") from None
    return {name: msgspec.Raw(substituted.restore(bytes(value))) for name, value in fields.items()}


def _decode_items(pushes: bytes) -> list[bytes]:
    """Each item of a list as it stands, lone surrogates included."""
    try:
        return [bytes(item) for item in _decode_many(pushes)]
    except msgspec.DecodeError:
        substituted = substitute(pushes)
        if substituted is None:
            raise
        return [substituted.restore(bytes(item)) for item in _decode_many(substituted.text)]


def _take_json(fields: dict[str, msgspec.Raw]) -> bytes | None:
    if "json" not in fields:
        return None
    if "data" in fields:
        raise invalid_argument("json", "either json or data, not both")
    content_type = fields.get("content_type", fields.get("contentType", msgspec.Raw(b'""')))
    if bytes(content_type) not in (b'""', b'"application/json"'):
        raise invalid_argument("content_type", "the type of json is application/json")
    return bytes(fields.pop("json"))


def _check_base64(fields: dict[str, msgspec.Raw]) -> None:
    """Refuse `data` that is not base64: protobuf would read an empty payload."""
    if "data" in fields:
        try:
            base64.b64decode(msgspec.json.decode(fields["data"], type=str), altchars=b"+/", validate=True)
        except (msgspec.MsgspecError, ValueError):
            raise invalid_argument("data", "not base64; for a JSON payload use the field json") from None


def _fill(fields: dict[str, msgspec.Raw], into: Message) -> None:
    try:
        json_format.ParseDict({name: msgspec.json.decode(value) for name, value in fields.items()}, into)
    except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
        raise CallRefused("INVALID_ARGUMENT", f"the body cannot be read: {error}") from None
    except json_format.ParseError as error:
        text = str(error)
        if (unknown := _find_unknown(text)) is not None:
            raise invalid_argument(unknown[1], "no such field") from None
        if (failed := _find_failed(text)) is not None:
            raise invalid_argument(failed[1], text) from None
        raise CallRefused("INVALID_ARGUMENT", text) from None
