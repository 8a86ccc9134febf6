"""What happened in one run, as plain records: what clients received, what callers were reported, which faults occurred.

The simulation writes these, and a suite with real processes can; `tests.simulation.invariants` judges both. Times are
seconds on one clock. What an observer of real processes cannot know has a default, and is not judged then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Target = tuple[str, str]
"""Kind (session, user, file, everyone) and name; a session's name is its id in decimal."""

Owner = tuple[str, int]
"""A node and its epoch: an incarnation."""


@dataclass(slots=True)
class Connected:
    """A client that was told that it is connected (its `hello`), until its end."""

    conn: int
    session: int
    user: str
    node: str
    epoch: int
    files: tuple[str, ...]
    t_request: float  # when the client began to connect
    t: float  # when it was told
    registered: bool = True
    routers: frozenset[str] | None = None  # whose tables were known to hold the session at `t`; None: every router's
    t_ended: float | None = None  # the connection was closed or lost, or began to be closed, whichever side did it


@dataclass(slots=True)
class Membership:
    """A session's time in a file, by its own requests and what was told to it."""

    session: int
    file: str
    t_request: float  # when the client or the backend sent the join
    t_joined: float | None = None  # when the client was told
    routers: frozenset[str] | None = None
    t_leave: float | None = None  # when the leave was sent
    t_left: float | None = None  # when the client was told


@dataclass(slots=True)
class BackendChange:
    """A backend's Join or Leave of all sessions of a user."""

    user: str
    file: str
    leave: bool
    t_request: float
    t_answered: float | None = None  # when every node had answered; None: it may still take effect


@dataclass(slots=True)
class Receipt:
    """A push's frame for one client: written by a node, and received, unless the connection ended before."""

    conn: int
    session: int
    node: str
    epoch: int  # of the node's incarnation when the frame was written
    push_id: str
    t: float | None = None  # None: not received
    t_written: float | None = None  # None: not known
    held: bool = False  # accepted before the client was connected, so its ttl was judged earlier
    clock_error: float = 0.0  # seconds by which the node may take a push for younger than it is


@dataclass(slots=True)
class Sent:
    """A push of a caller, and its report."""

    push_id: str
    stream: str  # pushes of one stream to one target have an order
    router: str
    target: Target
    t_invoke: float
    ttl: float = 30.0
    ack_timeout: float = 0.0
    dedup: bool = True  # its caller chose its push_id
    t_return: float | None = None  # None: there was no report
    reports: int = 0
    outcomes: list[tuple[int, str, str]] = field(default_factory=list)  # session (0: none), node, outcome
    counts: dict[str, int] = field(default_factory=dict)
    refused: str = ""  # the error, if nothing was sent
    healed: bool = False
    registry_away: bool = False
    contacted: set[Owner] | None = None  # the incarnations that it was sent to; None: not known


@dataclass(slots=True)
class IncarnationEnd:
    """One step of an incarnation's end: its key is gone, its own node knows, a router has ended it."""

    node: str
    epoch: int
    known_to: str  # "store", "node", or a router's name
    t: float


@dataclass(slots=True)
class Restored:
    """A node has kept its sessions under another epoch, and has registered all of them anew."""

    node: str
    epoch: int
    t: float
    routers: frozenset[str] | None = None  # whose tables were known to hold them at `t`; None: every router's


@dataclass(slots=True)
class Fault:
    """The begin or the end of a fault."""

    fault: str
    phase: str  # begin, end
    subject: str
    t: float


@dataclass(slots=True)
class State:
    """What one place holds after the faults are over: a router's table, a node's sessions, the store's keys."""

    place: str
    sessions: frozenset[tuple[int, str, int]]  # session, node, epoch
    files: frozenset[tuple[str, str, int]]  # file, node, epoch


@dataclass(slots=True)
class History:
    """Everything that was recorded in one run, each list in the order of time."""

    connected: list[Connected] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    backend_changes: list[BackendChange] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    ends: list[IncarnationEnd] = field(default_factory=list)
    restored: list[Restored] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    states: list[State] = field(default_factory=list)  # taken at one moment, at the end
    acks: dict[tuple[str, int], int] = field(default_factory=dict)  # push_id, session: acks that the client sent
    router_starts: dict[str, float] = field(default_factory=dict)
    router_ends: dict[str, float] = field(default_factory=dict)  # of routers that were killed
    probes: set[str] = field(default_factory=set)  # pushes after the faults: they must be written

    def tail(self, until: float, seconds: float = 2.0) -> Iterator[str]:
        """The records of the last seconds, for people."""
        lines: list[tuple[float, str]] = []
        lists: tuple[list[Any], ...] = self.connected, self.memberships, self.backend_changes, self.receipts
        for records in (*lists, self.sent, self.ends, self.restored, self.faults):
            for record in records:
                t = _time_of(record)
                if until - seconds <= t <= until:
                    lines.append((t, f"{t:12.6f}  {record}"))
        yield from (line for _, line in sorted(lines, key=lambda one: one[0]))


def _time_of(record: Any) -> float:
    match record:
        case Membership() | BackendChange():
            return record.t_request
        case Receipt():
            return record.t_written if record.t_written is not None else (record.t or 0.0)
        case Sent():
            return record.t_invoke
        case _:
            return float(record.t)
