"""What a caller says, as protobuf requests. No I/O; the router judges what is said, this only carries it."""

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
    """The one target that was named. TypeError: none, or more than one."""
    said = {"session": session, "user": user, "file": file, "everyone": everyone or None}
    named = {kind: value for kind, value in said.items() if value is not None}
    if len(named) != 1:
        raise TypeError(f"name exactly one of {', '.join(TARGETS)}; named: {', '.join(named) or 'none'}")
    return pb.Target(namespace=namespace, **named)  # type: ignore[arg-type]


def make_data(data: object, content_type: str) -> bytes:
    """Bytes as they are; anything else as JSON. TypeError: it is no JSON value, or its content type is not JSON."""
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
    """A push with a push_id of its own, unless the caller gave one."""
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
        request.ttl.CopyFrom(duration(ttl))
    if ack_timeout is not None:
        request.ack_timeout.CopyFrom(duration(ack_timeout))
    return request


def make_reply(session: int, ack: int, data: object, content_type: str, error: object) -> pb.ReplyRequest:
    """The answer to a client's event: data, or an error (a message, or a pair of code and message)."""
    request = pb.ReplyRequest(session=session, ack=ack)
    if error is None:
        request.data, request.content_type = make_data(data, content_type), content_type
        return request
    code, message = error if isinstance(error, tuple) else ("internal", str(error))
    request.error.code, request.error.message = code, message
    return request


def duration(seconds: float) -> Duration:
    """Seconds as protobuf says them. ValueError: not a finite number."""
    whole = Duration()
    try:
        whole.FromNanoseconds(round(seconds * 1e9))
    except (OverflowError, ValueError):
        raise ValueError(f"{seconds!r} is no duration in seconds") from None
    return whole


def seconds(span: Any) -> float:  # noqa: ANN401 - types-protobuf gives Duration no common base
    """protobuf's Duration in seconds."""
    return float(span.seconds + span.nanos / 1e9)
