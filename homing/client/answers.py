"""What a router says, from protobuf to plain values. No I/O."""

from datetime import UTC, datetime

from google.protobuf.message import Message

from homing.client.errors import Refused
from homing.client.requests import seconds
from homing.client.values import Delivery, Located, NodeState, Outcome, Page, Present, Report, Route
from homing.v1 import router_pb2 as pb

_OUTCOMES = {
    value.number: Outcome(value.name) if value.name in Outcome.__members__ else Outcome.UNKNOWN
    for value in pb.Delivery.Outcome.DESCRIPTOR.values
}


def report(said: pb.PushReport) -> Report:
    """A report. Raises Refused when the item was refused."""
    if said.HasField("error"):
        raise refusal(said.error)
    counts: dict[Outcome, int] = {}
    for name, count in said.counts.items():
        known = Outcome(name) if name in Outcome.__members__ else Outcome.UNKNOWN
        counts[known] = counts.get(known, 0) + count
    return Report(
        push_id=said.push_id,
        counts=counts,
        deliveries=tuple(map(delivery, said.deliveries)),
        deliveries_truncated=said.deliveries_truncated,
        nodes_contacted=said.nodes_contacted,
        owning_nodes=said.owning_nodes,
        amplification=said.amplification,
        healed=said.healed,
        registry_away=said.registry_away,
        trace_id=said.trace_id,
    )


def delivery(said: pb.Delivery) -> Delivery:
    latency = seconds(said.latency) if said.HasField("latency") else None
    known = outcome(said.outcome)
    return Delivery(said.session, said.user, said.node, known, latency, said.ack_data, said.ack_content_type)


def outcome(number: int) -> Outcome:
    return _OUTCOMES.get(number, Outcome.UNKNOWN)


def refusal(said: pb.Error) -> Refused:
    retry_after = seconds(said.retry_after) if said.HasField("retry_after") else None
    return Refused(said.code or "UNKNOWN", said.message, said.field, retry_after)


def located(said: pb.LocateResponse) -> Located:
    routes = (Route(r.node, r.epoch, r.sessions, pb.Route.Source.Name(r.source)) for r in said.routes)
    return Located(tuple(routes), said.registry_away, said.why)


def present(said: pb.PresentSession) -> Present:
    return Present(said.session, said.user, said.node, said.namespace, _time(said))


def page(said: pb.PresenceResponse) -> Page:
    return Page(tuple(map(present, said.sessions)), said.total, tuple(said.incomplete_nodes))


def node_state(said: pb.NodeState) -> NodeState:
    return NodeState(said.node, said.epoch, said.draining, said.sessions, said.files, dict(said.counters))


def _time(said: Message) -> datetime | None:
    if not said.HasField("connected_at"):
        return None
    return said.connected_at.ToDatetime(tzinfo=UTC)  # type: ignore[attr-defined, no-any-return]
