"""Decodes a router's responses: protobuf messages to the values of `homing.client.values`. No I/O."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from homing.client.errors import Refused
from homing.client.requests import to_seconds
from homing.client.values import (
    Delivery,
    LocateResult,
    NodeState,
    Outcome,
    PresencePage,
    PresentSession,
    Report,
    Route,
)
from homing.v1 import router_pb2 as pb

_OUTCOMES = {
    value.number: Outcome(value.name) if value.name in Outcome.__members__ else Outcome.UNKNOWN
    for value in pb.Delivery.Outcome.DESCRIPTOR.values
}


def decode_report(message: pb.PushReport) -> Report:
    """A push's report. Raises Refused when the router refused the push."""
    if message.HasField("error"):
        raise decode_error(message.error)
    counts: dict[Outcome, int] = {}
    for name, count in message.counts.items():
        known = Outcome(name) if name in Outcome.__members__ else Outcome.UNKNOWN
        counts[known] = counts.get(known, 0) + count
    return Report(
        push_id=message.push_id,
        counts=counts,
        deliveries=tuple(map(decode_delivery, message.deliveries)),
        deliveries_truncated=message.deliveries_truncated,
        nodes_contacted=message.nodes_contacted,
        owning_nodes=message.owning_nodes,
        amplification=message.amplification,
        healed=message.healed,
        registry_away=message.registry_away,
        trace_id=message.trace_id,
    )


def decode_delivery(message: pb.Delivery) -> Delivery:
    latency = to_seconds(message.latency) if message.HasField("latency") else None
    return Delivery(
        session=message.session,
        user=message.user,
        node=message.node,
        outcome=decode_outcome(message.outcome),
        latency=latency,
        ack_data=message.ack_data,
        ack_content_type=message.ack_content_type,
    )


def decode_outcome(number: int) -> Outcome:
    """UNKNOWN for an outcome that a newer router has and this library does not know."""
    return _OUTCOMES.get(number, Outcome.UNKNOWN)


def decode_error(message: pb.Error) -> Refused:
    retry_after = to_seconds(message.retry_after) if message.HasField("retry_after") else None
    return Refused(message.code or "UNKNOWN", message.message, message.field, retry_after)


def decode_locate(message: pb.LocateResponse) -> LocateResult:
    return LocateResult(tuple(map(_decode_route, message.routes)), message.registry_away, message.why)


def _decode_route(message: pb.Route) -> Route:
    sessions = message.sessions if message.HasField("sessions") else None
    return Route(message.node, message.epoch, sessions, enum_name(pb.Route.Source, message.source))


def enum_name(enum: Any, number: int) -> str:  # noqa: ANN401 - protobuf's enums have no common type
    """The name of an enum's value; UNKNOWN for a value of a newer router."""
    return str(enum.Name(number)) if number in enum.values() else "UNKNOWN"


def decode_present_session(message: pb.PresentSession) -> PresentSession:
    return PresentSession(message.session, message.user, message.node, message.namespace, _connected_at(message))


def decode_page(message: pb.PresenceResponse) -> PresencePage:
    sessions = tuple(map(decode_present_session, message.sessions))
    return PresencePage(sessions, message.total, tuple(message.incomplete_nodes))


def decode_node_state(message: pb.NodeState) -> NodeState:
    return NodeState(
        message.node, message.epoch, message.draining, message.sessions, message.files, dict(message.counters)
    )


def _connected_at(message: Message) -> datetime | None:
    if not message.HasField("connected_at"):
        return None
    try:
        return message.connected_at.ToDatetime(tzinfo=UTC)  # type: ignore[attr-defined, no-any-return]
    except (ValueError, OverflowError):  # beyond the year 9999
        return None
