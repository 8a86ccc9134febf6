"""What a router answers, as plain values. Durations are seconds, times are aware datetimes in UTC."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class Outcome(StrEnum):
    """What became of a push for one session; `api.md` of the project says each in full."""

    ACKED = "ACKED"  # the client's own ack arrived in time
    WRITTEN = "WRITTEN"  # the kernel took the whole frame
    STORED = "STORED"  # durable, the session is away and will be replayed to
    OFFLINE = "OFFLINE"  # no live session of that target
    DROPPED_SLOW = "DROPPED_SLOW"  # over the slow-consumer budget
    EXPIRED = "EXPIRED"  # its ttl passed before it could be written
    UNREACHABLE = "UNREACHABLE"  # the owning node did not answer: it may or may not have been delivered
    DUPLICATE = "DUPLICATE"  # this push_id was delivered to this session before
    QUEUED = "QUEUED"  # still in the connection's buffer when the report was due
    UNKNOWN = "UNKNOWN"  # a newer router's outcome that this library does not know


class Delivery(msgspec.Struct, frozen=True):
    """What became of a push for one session. `session` 0: not about a session (OFFLINE, a node UNREACHABLE)."""

    session: int
    user: str
    node: str
    outcome: Outcome
    latency: float | None = None  # seconds from the router's receipt to the outcome at the owner
    ack_data: bytes = b""
    ack_content_type: str = ""

    @property
    def ack(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The client's ack: the JSON value, or the bytes when it has another content type; None without one."""
        if not self.ack_data or self.ack_content_type not in ("", "application/json"):
            return self.ack_data or None
        return msgspec.json.decode(self.ack_data)


class Report(msgspec.Struct, frozen=True):
    """What became of a push. `counts` is complete; `deliveries` are the worst first, and may be cut."""

    push_id: str
    counts: dict[Outcome, int]  # only those > 0
    deliveries: tuple[Delivery, ...] = ()
    deliveries_truncated: bool = False
    nodes_contacted: int = 0
    owning_nodes: int = 0
    amplification: float = 0.0  # nodes_contacted / max(1, owning_nodes)
    healed: bool = False  # a stale route was mended inside this call
    registry_away: bool = False  # etcd could not be read, so OFFLINE is the best guess
    trace_id: str = ""  # 32 hex digits

    @property
    def reached(self) -> int:
        """Sessions that certainly have it: ACKED, WRITTEN, or DUPLICATE."""
        return sum(self.counts.get(good, 0) for good in (Outcome.ACKED, Outcome.WRITTEN, Outcome.DUPLICATE))


class Route(msgspec.Struct, frozen=True):
    """One node that a push would go to. `source`: TABLE, TABLE_AFTER_READ or SCATTER."""

    node: str
    epoch: int
    sessions: int  # 0 for a file: its route has no count
    source: str


class Located(msgspec.Struct, frozen=True):
    """Where a push would go. `why` says in words why nowhere."""

    routes: tuple[Route, ...]
    registry_away: bool = False
    why: str = ""


class Present(msgspec.Struct, frozen=True):
    """A session that is connected."""

    session: int
    user: str
    node: str
    namespace: str = ""
    connected_at: datetime | None = None


class Page(msgspec.Struct, frozen=True):
    """One page of who is there. `incomplete_nodes` own sessions and did not answer."""

    sessions: tuple[Present, ...]
    total: int = 0
    incomplete_nodes: tuple[str, ...] = ()


class NodeState(msgspec.Struct, frozen=True):
    """A gateway, as it counts itself."""

    node: str
    epoch: int
    draining: bool = False
    sessions: int = 0
    files: int = 0
    counters: dict[str, int] = {}


class Came(msgspec.Struct, frozen=True):
    """A watched user's session is there."""

    present: Present


class Left(msgspec.Struct, frozen=True):
    """A watched user's session is gone."""

    session: int


class NodeUp(msgspec.Struct, frozen=True):
    """A gateway is there, or says something new about itself."""

    state: NodeState


class NodeDown(msgspec.Struct, frozen=True):
    """A gateway is gone."""

    node: str


class Synced(msgspec.Struct, frozen=True):
    """All that was there at the start has been told; what follows are changes. Said once."""
