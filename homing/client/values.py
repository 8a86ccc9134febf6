"""The results of a router's calls, as plain values. Durations are seconds, times are aware datetimes in UTC."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from homing.client.content_types import is_json


class Outcome(StrEnum):
    """The result of a push for one session (docs/api.md, "Outcomes")."""

    ACKED = "ACKED"  # the client's ack arrived within `ack_timeout`
    WRITTEN = "WRITTEN"  # the kernel took the whole frame
    STORED = "STORED"  # durable: kept for replay, the session is offline
    OFFLINE = "OFFLINE"  # the target has no live session
    DROPPED_SLOW = "DROPPED_SLOW"  # the connection is over its slow-consumer budget
    EXPIRED = "EXPIRED"  # the ttl passed before the frame could be written
    UNREACHABLE = "UNREACHABLE"  # the owning node did not answer: delivered or not is unknown
    DUPLICATE = "DUPLICATE"  # this push_id was already delivered to this session
    QUEUED = "QUEUED"  # still in the connection's send buffer when the report was due
    UNKNOWN = "UNKNOWN"  # an outcome of a newer router that this library does not know


class Delivery(msgspec.Struct, frozen=True):
    """The result of a push for one session. `session` is 0 for an outcome without one (OFFLINE, a node UNREACHABLE)."""

    session: int
    user: str
    node: str
    outcome: Outcome
    latency: float | None = None  # seconds from the router's receipt to the outcome at the owning node
    ack_data: bytes = b""
    ack_content_type: str = ""

    @property
    def ack(self) -> Any:  # noqa: ANN401 - any JSON value
        """The client's ack: a JSON value, or bytes for another content type or for what is no JSON; None without an
        ack."""
        if not self.ack_data or not is_json(self.ack_content_type):
            return self.ack_data or None
        try:
            return msgspec.json.decode(self.ack_data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.ack_data


class Report(msgspec.Struct, frozen=True):
    """The report of a push. `counts` is complete; `deliveries` lists the worst outcomes first and may be truncated."""

    push_id: str
    counts: dict[Outcome, int]  # outcomes that occurred at least once
    deliveries: tuple[Delivery, ...] = ()
    deliveries_truncated: bool = False
    nodes_contacted: int = 0
    owning_nodes: int = 0
    amplification: float = 0.0  # nodes_contacted / max(1, owning_nodes)
    healed: bool = False  # the router repaired a stale route during this push
    registry_away: bool = False  # etcd was unavailable, so OFFLINE may be wrong
    trace_id: str = ""  # 32 hex digits

    @property
    def reached(self) -> int:
        """Number of sessions that received the push: ACKED, WRITTEN or DUPLICATE."""
        return sum(self.counts.get(outcome, 0) for outcome in (Outcome.ACKED, Outcome.WRITTEN, Outcome.DUPLICATE))


class Route(msgspec.Struct, frozen=True):
    """One node that a push would be sent to. `source`: TABLE, TABLE_AFTER_READ, SCATTER, BROADCAST, or for one of a
    newer router UNKNOWN."""

    node: str
    epoch: int
    sessions: int | None  # that the table knows there; None where it cannot tell: a file, everyone, SCATTER
    source: str


class LocateResult(msgspec.Struct, frozen=True):
    """The nodes that a push would be sent to. `why` explains in words why there are none."""

    routes: tuple[Route, ...]
    registry_away: bool = False
    why: str = ""


class PresentSession(msgspec.Struct, frozen=True):
    """A connected session."""

    session: int
    user: str
    node: str
    namespace: str = ""
    connected_at: datetime | None = None


class PresencePage(msgspec.Struct, frozen=True):
    """One page of a presence query. `incomplete_nodes`: owners of sessions that did not answer."""

    sessions: tuple[PresentSession, ...]
    total: int = 0
    incomplete_nodes: tuple[str, ...] = ()


class NodeState(msgspec.Struct, frozen=True):
    """The state that a gateway reports of itself."""

    node: str
    epoch: int
    draining: bool = False
    sessions: int = 0
    files: int = 0
    counters: dict[str, int] = {}


class SessionConnected(msgspec.Struct, frozen=True):
    """A session of the watched user connected, or was connected when the watch began."""

    present: PresentSession


class SessionDisconnected(msgspec.Struct, frozen=True):
    """A session of the watched user disconnected."""

    session: int


class NodeUp(msgspec.Struct, frozen=True):
    """A gateway joined the cluster, or reported a new state."""

    state: NodeState


class NodeDown(msgspec.Struct, frozen=True):
    """A gateway left the cluster."""

    node: str


class Synced(msgspec.Struct, frozen=True):
    """Everything present at the start of the watch has been yielded; changes follow. Yielded once."""
