"""Core: what a caller sent, checked field by field.

A refusal names the field and is the caller's to mend; nothing was sent. JSON is checked once here, so that gateways can
splice it into frames without decoding it (protocol.md, "Content and codec").
"""

import re

import msgspec

from homing.v1 import router_pb2
from observability.traceparent import checked

MAX_EVENT = 128  # bytes
MAX_NAME = 256  # bytes of a user or a file name
MAX_EXCEPT = 1000
DEFAULT_TTL = 30.0  # seconds
MAX_TTL = 86_400.0
MAX_ACK_TIMEOUT = 60.0
DEFAULT_DELIVERIES = 100
MAX_DELIVERIES = 10_000
JSON = "application/json"
RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"})

_match_push_id = re.compile(r"[\x21-\x7e]{1,64}").fullmatch
_match_content_type = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,126}").fullmatch


class CallRefused(Exception):
    """A call that is not carried out. `code` is gRPC's name for it."""

    def __init__(self, code: str, message: str, field: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.retry_after = retry_after  # seconds


def bad(field: str, message: str) -> CallRefused:
    """INVALID_ARGUMENT, with the field first in the text."""
    return CallRefused("INVALID_ARGUMENT", f"{field}: {message}", field)


class Target(msgspec.Struct, frozen=True):
    """Whom a call is about: exactly one of the four."""

    session: int = 0
    user: str = ""
    file: str = ""
    everyone: bool = False
    namespace: str = ""


class CheckedPush(msgspec.Struct, frozen=True):
    """A push that may be planned. Durations are seconds."""

    target: Target
    event: str
    data: bytes
    content_type: str  # "" = JSON
    push_id: str
    ttl: float
    ack_timeout: float  # 0: no ack wanted
    except_sessions: tuple[int, ...]
    max_deliveries: int
    traceparent: str  # "" unless it is a W3C one: a malformed one is as good as none (Trace Context §3.2.2.3)
    size: int  # bytes that it takes in a queue, about
    linger: bool = False  # its caller has others under way: nobody waits for this report alone


def check_target(target: router_pb2.Target, field: str = "target") -> Target:
    """The target, or INVALID_ARGUMENT: none, an empty name, everyone=false."""
    kind = target.WhichOneof("to")
    if kind is None:
        raise bad(field, "name one: session, user, file or everyone")
    value = getattr(target, kind)
    if not value:
        raise bad(f"{field}.{kind}", "must not be empty" if kind != "everyone" else "must be true, or absent")
    if kind in ("user", "file") and len(value) * 4 > MAX_NAME < len(value.encode()):
        raise bad(f"{field}.{kind}", f"longer than {MAX_NAME} bytes")
    return Target(namespace=target.namespace, **{kind: value})


def check_file(file: str) -> str:
    """A file name: 1-256 bytes."""
    if not 1 <= len(file.encode()) <= MAX_NAME:
        raise bad("file", f"must be 1 to {MAX_NAME} bytes")
    return file


def check_push(request: router_pb2.PushRequest, max_data: int, linger: bool = False) -> CheckedPush:
    """A push, or a Refused that names the field. `max_data` is in bytes; an id must be there (Push makes one)."""
    target = check_target(request.target)
    if request.durable:
        raise CallRefused(
            "FAILED_PRECONDITION", "durable: there is no durable log yet; send it as a plain push", "durable"
        )
    return CheckedPush(
        target,
        _event(request.event),
        check_data(request.data, request.content_type, max_data),
        check_content_type(request.content_type),
        _push_id(request.push_id),
        _ttl(request),
        _ack_timeout(request),
        _except_sessions(request),
        _max_deliveries(request),
        checked(request.traceparent),
        len(request.data) + 10 * len(request.except_sessions) + 512,
        linger,
    )


def _event(event: str) -> str:
    if not event or len(event) * 4 > MAX_EVENT < len(event.encode()):
        raise bad("event", f"must be 1 to {MAX_EVENT} bytes")
    if event.startswith("homing:") or event in RESERVED:
        raise bad("event", f"{event} is a reserved name")
    return event


def check_data(data: bytes, content_type: str, max_data: int) -> bytes:
    """A payload: within the limit, and JSON unless its type says otherwise."""
    if len(data) > max_data:
        raise bad("data", f"{len(data)} bytes; at most {max_data}")
    if content_type in ("", JSON):
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise bad("data", f"not valid JSON ({error}); name its content_type if it is something else") from None
    return data


def check_content_type(content_type: str) -> str:
    """ "" for JSON, else a type that can stand in a header."""
    if content_type in ("", JSON):
        return ""
    if not _match_content_type(content_type):
        raise bad("content_type", "must be 1 to 127 printable ASCII characters")
    return content_type


def _push_id(push_id: str) -> str:
    if not _match_push_id(push_id):
        raise bad("push_id", "must be 1 to 64 printable ASCII characters without spaces")
    return push_id


def _ttl(request: router_pb2.PushRequest) -> float:
    if not request.HasField("ttl"):
        return DEFAULT_TTL
    ttl = request.ttl.seconds + request.ttl.nanos / 1e9
    if not 0.001 <= ttl <= MAX_TTL:
        raise bad("ttl", f"must be at least 1 ms and at most {MAX_TTL:.0f} seconds")
    return ttl


def _ack_timeout(request: router_pb2.PushRequest) -> float:
    if not request.HasField("ack_timeout"):
        return 0.0
    timeout = request.ack_timeout.seconds + request.ack_timeout.nanos / 1e9
    if not 0 < timeout <= MAX_ACK_TIMEOUT:
        raise bad("ack_timeout", f"must be more than 0 and at most {MAX_ACK_TIMEOUT:.0f} seconds")
    return timeout


def _except_sessions(request: router_pb2.PushRequest) -> tuple[int, ...]:
    if not request.except_sessions:
        return ()
    if len(request.except_sessions) > MAX_EXCEPT:
        raise bad("except_sessions", f"{len(request.except_sessions)} of them; at most {MAX_EXCEPT}")
    return tuple(request.except_sessions)


def _max_deliveries(request: router_pb2.PushRequest) -> int:
    if not request.HasField("max_deliveries"):
        return DEFAULT_DELIVERIES
    if request.max_deliveries > MAX_DELIVERIES:
        raise bad("max_deliveries", f"{request.max_deliveries}; at most {MAX_DELIVERIES}")
    return request.max_deliveries
