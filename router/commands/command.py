"""Core: a record as a command (design §5).

`X-Operator` says which call it is, the value is that call's request in JSON, as over HTTP:

    unicast      PushRequest to one name: a session, a user or a file
    broadcast    PushRequest to many: a file's members, or everyone
    join, leave, disconnect, reply    JoinRequest, LeaveRequest, DisconnectRequest, ReplyRequest

A file is one name with many behind it, so both words fit it. A `unicast` to everyone, or a `broadcast` to a session or
a user, contradicts itself: it is a mistake, and is not carried out.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from homing.v1 import router_pb2
from observability.traceparent import from_headers
from router.push import CallRefused, bad

Request = (
    router_pb2.PushRequest
    | router_pb2.JoinRequest
    | router_pb2.LeaveRequest
    | router_pb2.DisconnectRequest
    | router_pb2.ReplyRequest
)

OPERATORS: Mapping[str, type[Request]] = {
    "unicast": router_pb2.PushRequest,
    "broadcast": router_pb2.PushRequest,
    "join": router_pb2.JoinRequest,
    "leave": router_pb2.LeaveRequest,
    "disconnect": router_pb2.DisconnectRequest,
    "reply": router_pb2.ReplyRequest,
}
TARGETS = {"unicast": ("session", "user", "file"), "broadcast": ("file", "everyone")}
MAX_REASON = 1000  # characters, in a dead letter's header

Header = tuple[str, bytes]


class Origin(msgspec.Struct, frozen=True):
    """Where a record stands, which no other record does."""

    topic: str
    partition: int
    offset: int

    @property
    def push_id(self) -> str:
        """The id of a push that has none: the same when the record is read again. At most 64 characters."""
        return f"{self.topic[-32:]}-{self.partition}-{self.offset}"


def as_text(headers: Iterable[Header]) -> dict[str, str]:
    """Headers by name; of several with one name the last."""
    return {name: value.decode(errors="replace") for name, value in headers if value is not None}


def operator_of(headers: Mapping[str, str], value: bytes | None) -> str:
    """What the record asks for. Refused: it does not say, or says something else, or has no value."""
    operator = headers.get("X-Operator")
    words = ", ".join(OPERATORS)
    if operator is None:
        raise bad("X-Operator", f"the record has no such header; it is one of {words}")
    if operator not in OPERATORS:
        raise bad("X-Operator", f"{operator!r} is none of {words}")
    if value is None:
        raise CallRefused("INVALID_ARGUMENT", "the record has no value; it must hold the request in JSON")
    return operator


def complete(operator: str, request: Request, headers: Mapping[str, str], origin: Origin) -> None:
    """Give a push what the record says beside the value: its trace and, if it has none, its id. Refused: not its word.

    The record's trace wins over the request's, as a call's metadata does (api.md).
    """
    if not isinstance(request, router_pb2.PushRequest):
        return
    kind = request.target.WhichOneof("to")
    if kind is not None and kind not in TARGETS[operator]:
        raise bad("target", f"{operator} is for {' or '.join(TARGETS[operator])}, not for {kind}")
    request.push_id = request.push_id or origin.push_id
    trace = from_headers(headers.get("traceparent", ""), headers.get("X-Trace-ID", ""))
    request.traceparent = trace or request.traceparent


def dead_headers(headers: Sequence[Header], refused: CallRefused, origin: Origin) -> list[Header]:
    """A dead letter's: the record's own, why it was not carried out, and where it stood."""
    added = {
        "X-Reason": f"{refused.code}: {refused}"[:MAX_REASON],
        "X-Origin-Topic": origin.topic,
        "X-Origin-Partition": str(origin.partition),
        "X-Origin-Offset": str(origin.offset),
    }
    own = [(name, value) for name, value in headers if name not in added]
    return [*own, *((name, text.encode()) for name, text in added.items())]
