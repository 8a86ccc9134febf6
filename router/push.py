"""Core: the checks of a push request, field by field (docs/api.md, "Push").

A refusal names the field, and nothing was sent. JSON is validated here, once, so that gateways can splice the payload
into frames without decoding (docs/protocol.md, "Content and codec").
"""

import re

import msgspec

from homing.v1 import router_pb2
from observability.traceparent import checked
from runtime.lone_surrogates import is_json

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
    """A call that is refused before it has any effect.

    `code`: the name of a gRPC status. `field`: the request's field that is wrong, "" for none. `retry_after`: seconds.
    """

    def __init__(self, code: str, message: str, field: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.retry_after = retry_after


def invalid_argument(field: str, message: str) -> CallRefused:
    """INVALID_ARGUMENT for one field; the text begins with the field."""
    return CallRefused("INVALID_ARGUMENT", f"{field}: {message}", field)


class Target(msgspec.Struct, frozen=True, cache_hash=True):
    """The receivers of a call: exactly one of session, user, file and everyone (docs/api.md, "Targets")."""

    session: int = 0
    user: str = ""
    file: str = ""
    everyone: bool = False
    namespace: str = ""


class CheckedPush(msgspec.Struct, frozen=True):
    """A push whose fields are all valid. Durations are seconds."""

    target: Target
    event: str
    data: bytes
    content_type: str  # "" = JSON
    push_id: str
    ttl: float
    ack_timeout: float  # 0: no ack is requested
    except_sessions: tuple[int, ...]
    max_deliveries: int
    traceparent: str  # "" when absent or malformed, which W3C treats alike (Trace Context §3.2.2.3)
    size: int  # bytes that the push takes in a queue, about
    linger: bool = False  # the caller has other pushes in flight, so the report may wait to share a message
    dedup: bool = False  # the caller chose push_id and may repeat it; else the router made it
    caller: str = ""  # whose push_id it is; "" for a caller without a name


def check_target(target: router_pb2.Target, field: str = "target") -> Target:
    """The request's target. Raises INVALID_ARGUMENT: none, an empty name, everyone=false, a name above 256 bytes."""
    kind = target.WhichOneof("to")
    if kind is None:
        raise invalid_argument(field, "name one: session, user, file or everyone")
    value = getattr(target, kind)
    if not value:
        raise invalid_argument(
            f"{field}.{kind}", "must not be empty" if kind != "everyone" else "must be true, or absent"
        )
    if kind in ("user", "file") and len(value) * 4 > MAX_NAME < len(value.encode()):
        raise invalid_argument(f"{field}.{kind}", f"longer than {MAX_NAME} bytes")
    return Target(namespace=target.namespace, **{kind: value})


def check_file(file: str) -> str:
    """A file's name. Raises INVALID_ARGUMENT unless the name has 1 to 256 bytes."""
    if not 1 <= len(file.encode()) <= MAX_NAME:
        raise invalid_argument("file", f"must be 1 to {MAX_NAME} bytes")
    return file


def check_push(
    request: router_pb2.PushRequest, max_data: int, linger: bool = False, dedup: bool = True, caller: str = ""
) -> CheckedPush:
    """The push of a request. Raises CallRefused, naming the field.

    `max_data`: bytes. The request must have a push_id; where the API allows a missing one, whoever calls this makes one
    and sets `dedup` to False, since nobody can repeat it. `caller`: the name of whose push_id it is.
    """
    target = check_target(request.target)
    if request.durable:
        raise CallRefused("FAILED_PRECONDITION", "durable: there is no durable log yet; send a plain push", "durable")
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
        dedup,
        caller,
    )


def _event(event: str) -> str:
    if not event or len(event) * 4 > MAX_EVENT < len(event.encode()):
        raise invalid_argument("event", f"must be 1 to {MAX_EVENT} bytes")
    if event.startswith("homing:") or event in RESERVED:
        raise invalid_argument("event", f"{event} is a reserved name")
    return event


def check_data(data: bytes, content_type: str, max_data: int) -> bytes:
    """A payload. Raises INVALID_ARGUMENT above `max_data` bytes, or for invalid JSON without another content type."""
    if len(data) > max_data:
        raise invalid_argument("data", f"{len(data)} bytes; at most {max_data}")
    if content_type in ("", JSON):
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            if is_json(data):  # with lone surrogates, which msgspec refuses
                return data
            raise invalid_argument(
                "data", f"not valid JSON ({error}); name the content_type if the data is something else"
            ) from None
    return data


def check_content_type(content_type: str) -> str:
    """The content type, "" for JSON. Raises INVALID_ARGUMENT unless it is 1 to 127 printable ASCII characters."""
    if content_type in ("", JSON):
        return ""
    if not _match_content_type(content_type):
        raise invalid_argument("content_type", "must be 1 to 127 printable ASCII characters")
    return content_type


def _push_id(push_id: str) -> str:
    if not _match_push_id(push_id):
        raise invalid_argument("push_id", "must be 1 to 64 printable ASCII characters without spaces")
    return push_id


def _ttl(request: router_pb2.PushRequest) -> float:
    if not request.HasField("ttl"):
        return DEFAULT_TTL
    ttl = request.ttl.seconds + request.ttl.nanos / 1e9
    if not 0.001 <= ttl <= MAX_TTL:
        raise invalid_argument("ttl", f"must be at least 1 ms and at most {MAX_TTL:.0f} seconds")
    return ttl


def _ack_timeout(request: router_pb2.PushRequest) -> float:
    if not request.HasField("ack_timeout"):
        return 0.0
    timeout = request.ack_timeout.seconds + request.ack_timeout.nanos / 1e9
    if not 0 < timeout <= MAX_ACK_TIMEOUT:
        raise invalid_argument("ack_timeout", f"must be more than 0 and at most {MAX_ACK_TIMEOUT:.0f} seconds")
    return timeout


def _except_sessions(request: router_pb2.PushRequest) -> tuple[int, ...]:
    if not request.except_sessions:
        return ()
    if len(request.except_sessions) > MAX_EXCEPT:
        raise invalid_argument("except_sessions", f"{len(request.except_sessions)} of them; at most {MAX_EXCEPT}")
    return tuple(request.except_sessions)


def _max_deliveries(request: router_pb2.PushRequest) -> int:
    if not request.HasField("max_deliveries"):
        return DEFAULT_DELIVERIES
    if request.max_deliveries > MAX_DELIVERIES:
        raise invalid_argument("max_deliveries", f"{request.max_deliveries}; at most {MAX_DELIVERIES}")
    return request.max_deliveries
