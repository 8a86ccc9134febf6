"""Encodes a caller's arguments as protobuf requests. No I/O; the router validates the values."""

import secrets
from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf.duration_pb2 import Duration

from homing.v1 import router_pb2 as pb

TARGETS = ("session", "user", "file", "everyone")


def make_target(
    session: int | None, user: str | None, file: str | None, everyone: bool, namespace: str = ""
) -> pb.Target:
    """The target of a call. TypeError: none was given, or more than one."""
    arguments = {"session": session, "user": user, "file": file, "everyone": everyone or None}
    given = {kind: value for kind, value in arguments.items() if value is not None}
    if len(given) != 1:
        raise TypeError(f"name exactly one of {', '.join(TARGETS)}; named: {', '.join(given) or 'none'}")
    return pb.Target(namespace=namespace, **given)  # type: ignore[arg-type]


def make_data(data: object, content_type: str) -> bytes:
    """A payload: bytes unchanged, any other value as JSON. TypeError: no JSON value, or a content type not JSON."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if content_type and "json" not in content_type:
        raise TypeError(f"data of type {content_type} must be bytes, not {type(data).__name__}")
    return msgspec.json.encode(data)


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
        event=event,
        data=make_data(data, content_type),
        content_type=content_type,
        push_id=push_id if push_id is not None else secrets.token_urlsafe(16),
        durable=durable,
        except_sessions=except_sessions,
        max_deliveries=max_deliveries,
        traceparent=traceparent,
    )
    if ttl is not None:
        request.ttl.CopyFrom(to_duration(ttl))
    if ack_timeout is not None:
        request.ack_timeout.CopyFrom(to_duration(ack_timeout))
    return request


def make_reply(session: int, ack: int, data: object, content_type: str, error: object) -> pb.ReplyRequest:
    """A reply to a client's event: data, or an error (a message, or a pair of code and message)."""
    request = pb.ReplyRequest(session=session, ack=ack)
    if error is None:
        request.data, request.content_type = make_data(data, content_type), content_type
        return request
    code, message = error if isinstance(error, tuple) else ("internal", str(error))
    request.error.code, request.error.message = code, message
    return request


def to_duration(seconds: float) -> Duration:
    """Seconds as protobuf's Duration. ValueError: not a finite number."""
    duration = Duration()
    try:
        duration.FromNanoseconds(round(seconds * 1e9))
    except (OverflowError, ValueError):
        raise ValueError(f"{seconds!r} is no duration in seconds") from None
    return duration


def to_seconds(duration: Any) -> float:  # noqa: ANN401 - types-protobuf gives Duration no common base
    """protobuf's Duration in seconds."""
    return float(duration.seconds + duration.nanos / 1e9)
