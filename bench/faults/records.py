"""The history of one experiment as JSON lines: one object a line (docs/promises.md, "History format").

All times are seconds of the machine's monotonic clock, which all processes here share.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec


class ClientConnected(msgspec.Struct, tag="connected", tag_field="kind"):
    """A client was notified that it is connected."""

    conn: int  # of this connection alone
    client: int  # whose connection it is: a client that reconnects keeps its number
    session: int
    user: str
    node: str
    epoch: int  # as a router reported it last; 0: not known
    files: list[str]
    registered: bool
    t_request: float
    t: float
    bare: bool = False  # without a subprotocol: `t` is when its session was found through a router


class ClientEnded(msgspec.Struct, tag="ended", tag_field="kind"):
    """A connection has ended before its client closed it. `code`: 1006 without a close frame."""

    conn: int
    client: int
    code: int
    t: float


class ClientRefused(msgspec.Struct, tag="refused", tag_field="kind"):
    """A client could not connect. `status`: of HTTP, or the kind of error."""

    client: int
    node: str
    status: str
    t: float


class ClientReceipt(msgspec.Struct, tag="receipt", tag_field="kind"):
    """A client has received a push."""

    conn: int
    session: int
    node: str
    epoch: int
    push_id: str
    t_mono: float


class CallOutcome(msgspec.Struct, omit_defaults=True):
    """What a caller was answered. `error`: nothing was sent; `unknown`: the call ended without a report."""

    counts: dict[str, int] = {}
    deliveries: list[tuple[int, str, str]] = []  # session (0: none), node, outcome
    healed: bool = False
    registry_away: bool = False
    error: str = ""
    unknown: str = ""


class CallerPush(msgspec.Struct, tag="caller", tag_field="kind"):
    """A push, when its call has ended."""

    number: int  # in the order of the calls
    push_id: str
    stream: str  # pushes of one stream to one target have an order
    target: tuple[str, str]  # kind and name
    ttl: float
    t_invoke: float
    t_return: float
    outcome: CallOutcome
    probe: bool = False  # after the faults: each receiver must be WRITTEN


class FaultPhase(msgspec.Struct, tag="fault", tag_field="kind"):
    """The begin or the end of a fault."""

    fault: str
    phase: str  # begin, end
    subject: str
    t: float


class IncarnationOver(msgspec.Struct, tag="incarnation over", tag_field="kind"):
    """A router has reported that a node's key is gone, or has another epoch."""

    node: str
    epoch: int
    t: float


Record = ClientConnected | ClientEnded | ClientRefused | ClientReceipt | CallerPush | FaultPhase | IncarnationOver


class HistoryWriter:
    """Appends records to a file until it is closed; later ones are not written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("wb")
        self._encoder = msgspec.json.Encoder()
        self.pushes = 0  # numbers of pushes given
        self.connections = 0

    def write(self, record: Record) -> None:
        """One more line."""
        if not self._file.closed:
            self._file.write(self._encoder.encode(record) + b"\n")

    def fault(self, fault: str, phase: str, subject: str) -> float:
        """The begin or the end of a fault, now. Returns the time."""
        now = time.monotonic()
        self.write(FaultPhase(fault, phase, subject, now))
        return now

    def next_push(self) -> int:
        """The number of the next push."""
        self.pushes += 1
        return self.pushes

    def next_connection(self) -> int:
        """The number of the next connection."""
        self.connections += 1
        return self.connections

    def close(self) -> None:
        """What follows is not part of the history."""
        self._file.close()


def read_records(lines: Iterable[bytes | str]) -> Iterator[Record]:
    """The records of these lines. msgspec.ValidationError: a line is none."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Record)
    yield from map(decoder.decode, lines)
