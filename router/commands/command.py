"""Core: a Kafka record as a command (docs/records.md, "The commands topic").

The header `X-Operator` names the call. The value is the request of that call in JSON, as over HTTP:

    unicast      PushRequest to a session, a user or a file
    broadcast    PushRequest to a file or everyone
    join, leave, disconnect, reply    JoinRequest, LeaveRequest, DisconnectRequest, ReplyRequest

A file is one name with many members, so both operators fit. A `unicast` to everyone, or a `broadcast` to a session or a
user, contradicts itself and is refused.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from homing.v1 import router_pb2
from observability.traceparent import from_headers
from router.push import CallRefused, invalid_argument

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
MAX_REASON = 1000  # characters, in the header of a dead letter

Header = tuple[str, bytes]


class Origin(msgspec.Struct, frozen=True):
    """The place of a record, unique in its Kafka cluster."""

    topic: str
    partition: int
    offset: int

    @property
    def push_id(self) -> str:
        """The id of a push without one, at most 64 characters: the same whenever the record is read."""
        return f"{self.topic[-32:]}-{self.partition}-{self.offset}"


def decode_headers(headers: Iterable[Header]) -> dict[str, str]:
    """Headers by name, as UTF-8 text; of several headers with one name the last."""
    return {name: value.decode(errors="replace") for name, value in headers if value is not None}


def operator_of(headers: Mapping[str, str], value: bytes | None) -> str:
    """The record's operator. Raises CallRefused: no operator, an unknown one, or no value."""
    operator = headers.get("X-Operator")
    known = ", ".join(OPERATORS)
    if operator is None:
        raise invalid_argument("X-Operator", f"the record has no such header; it is one of {known}")
    if operator not in OPERATORS:
        raise invalid_argument("X-Operator", f"{operator!r} is none of {known}")
    if value is None:
        raise CallRefused("INVALID_ARGUMENT", "the record has no value; it must hold the request in JSON")
    return operator


def complete_push(operator: str, request: Request, headers: Mapping[str, str], origin: Origin) -> None:
    """Set the trace of a push from the record's headers, and a missing push_id from its origin; other requests stay.

    The trace of the record wins over that of the request, as metadata does in a gRPC call. Raises CallRefused when the
    operator does not fit the target.
    """
    if not isinstance(request, router_pb2.PushRequest):
        return
    kind = request.target.WhichOneof("to")
    if kind is not None and kind not in TARGETS[operator]:
        raise invalid_argument("target", f"{operator} is for {' or '.join(TARGETS[operator])}, not for {kind}")
    request.push_id = request.push_id or origin.push_id
    trace = from_headers(headers.get("traceparent", ""), headers.get("X-Trace-ID", ""))
    request.traceparent = trace or request.traceparent


def dead_letter_headers(headers: Sequence[Header], refused: CallRefused, origin: Origin) -> list[Header]:
    """The headers of a dead letter: the record's own, the reason, and the origin (docs/records.md, "Dead letters")."""
    added = {
        "X-Reason": f"{refused.code}: {refused}"[:MAX_REASON],
        "X-Origin-Topic": origin.topic,
        "X-Origin-Partition": str(origin.partition),
        "X-Origin-Offset": str(origin.offset),
    }
    own = [(name, value) for name, value in headers if name not in added]
    return [*own, *((name, text.encode()) for name, text in added.items())]
