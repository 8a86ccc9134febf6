"""Encodes a caller's arguments as protobuf requests. No I/O; kinds are checked here, values by the router."""

import secrets
from collections.abc import Iterable
from typing import Any

from google.protobuf.duration_pb2 import Duration

from homing.client.arguments import (
    UINT32,
    check_flag,
    check_number,
    check_seconds,
    check_sessions,
    check_text,
)
from homing.client.content_types import is_json
from homing.client.json_data import encode_json
from homing.v1 import router_pb2 as pb

TARGETS = ("session", "user", "file", "everyone")


def make_target(
    session: int | None, user: str | None, file: str | None, everyone: bool, namespace: str = ""
) -> pb.Target:
    """The target of a call. TypeError: none was given, or more than one. For values see `homing.client.arguments`."""
    target = pb.Target(namespace=check_text("namespace", namespace))
    given = []
    if session is not None:
        given.append("session")
        target.session = check_number("session", session)
    if user is not None:
        given.append("user")
        target.user = check_text("user", user)
    if file is not None:
        given.append("file")
        target.file = check_text("file", file)
    if check_flag("everyone", everyone):
        given.append("everyone")
        target.everyone = True
    if len(given) != 1:
        raise TypeError(f"name exactly one of {', '.join(TARGETS)}; named: {', '.join(given) or 'none'}")
    return target


def make_data(data: object, content_type: str) -> bytes:
    """A payload: bytes unchanged, any other value as JSON. TypeError, ValueError: no JSON value, or a type not JSON."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if not is_json(content_type):
        raise TypeError(f"data of type {content_type} must be bytes, not {type(data).__name__}")
    return encode_json(data)


def make_push(
    target: pb.Target,
    event: str,
    data: object,
    *,
    content_type: str,
    push_id: str | None,
    ttl: float | None,
    ack_timeout: float | None,
    durable: bool,
    except_sessions: Iterable[int],
    max_deliveries: int | None,
    traceparent: str,
) -> pb.PushRequest:
    """A push request, with a new push_id unless the caller gave one."""
    request = pb.PushRequest(
        target=target,
        event=check_text("event", event),
        data=make_data(data, check_text("content_type", content_type)),
        content_type=content_type,
        push_id=check_text("push_id", push_id) if push_id is not None else secrets.token_urlsafe(16),
        durable=check_flag("durable", durable),
        except_sessions=check_sessions("except_sessions", except_sessions) if except_sessions != () else (),
        max_deliveries=None if max_deliveries is None else check_number("max_deliveries", max_deliveries, UINT32),
        traceparent=check_text("traceparent", traceparent),
    )
    if ttl is not None:
        request.ttl.CopyFrom(to_duration(check_seconds("ttl", ttl)))
    if ack_timeout is not None:
        request.ack_timeout.CopyFrom(to_duration(check_seconds("ack_timeout", ack_timeout)))
    return request


def make_reply(session: int, ack: int, data: object, content_type: str, error: object) -> pb.ReplyRequest:
    """A reply to a client's event: data, or an error (a message, or a pair of code and message), never both."""
    request = pb.ReplyRequest(session=check_number("session", session), ack=check_number("ack", ack))
    check_text("content_type", content_type)
    if error is None:
        request.data, request.content_type = make_data(data, content_type), content_type
        return request
    if data is not None or content_type:
        raise TypeError("error is the reply in place of data and its content_type; name one of the two")
    parts = error if isinstance(error, tuple) else ("internal", error)
    if len(parts) != 2:
        raise TypeError(f"error must be a message, or code and message, not {len(parts)} parts")
    request.error.code, request.error.message = (check_text("error", part) for part in parts)
    return request


def to_duration(seconds: float) -> Duration:
    """Seconds as protobuf's Duration, which holds 10,000 years."""
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def to_seconds(duration: Any) -> float:  # noqa: ANN401 - types-protobuf gives Duration no common base
    """protobuf's Duration in seconds."""
    return float(duration.seconds + duration.nanos / 1e9)
