"""Judges a recorded history: the invariants of docs/promises.md, by the checker of the simulation.

The functions are those of `tests.simulation.invariants`. This module turns the lines of an experiment into its
`History`, and knows what an observer of real processes does not see:

* when a frame was written. It was before it was received, so a receipt is late only `DELAY` after the ttl;
* frames that were written and lost with their connection. A `WRITTEN` push counts as lost with it when the connection
  ended within `GRACE` after the report; a connection that lived longer has lost it;
* when a gateway began to close a connection, or a lease ended: up to `DELAY` before somebody noticed. Sessions of an
  incarnation that is over need not be reached.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.faults.records import (
    CallerPush,
    ClientConnected,
    ClientEnded,
    ClientReceipt,
    ClientRefused,
    FaultPhase,
    IncarnationOver,
    Record,
    read_records,
)
from tests.simulation.history import Connected, Fault, History, IncarnationEnd, Membership, Receipt, Sent
from tests.simulation.invariants import Violation, check

DELAY = 1.0  # seconds from a write to its receipt, on two cores that ten processes share
GRACE = 2.0  # seconds
WRITTEN = frozenset({"WRITTEN", "ACKED"})


class Recording(NamedTuple):
    """All records of one experiment, by kind, in the order of the file; pushes in the order of the calls."""

    connected: list[ClientConnected]
    ended: list[ClientEnded]
    refused: list[ClientRefused]
    receipts: list[ClientReceipt]
    pushes: list[CallerPush]
    faults: list[FaultPhase]
    ends: list[IncarnationOver]


KINDS = (ClientConnected, ClientEnded, ClientRefused, ClientReceipt, CallerPush, FaultPhase, IncarnationOver)


def read_recording(path: Path) -> Recording:
    """The history in a file."""
    with path.open("rb") as lines:
        return sort_records(read_records(lines))


def sort_records(records: Iterable[Record]) -> Recording:
    """The records by kind."""
    kinds: dict[type, list[Record]] = {kind: [] for kind in KINDS}
    for record in records:
        kinds[type(record)].append(record)
    recording = Recording(*kinds.values())  # type: ignore[arg-type]
    recording.pushes.sort(key=lambda push: push.number)
    return recording


def violations_of(recording: Recording) -> list[Violation]:
    """Everything that no experiment may show."""
    return [*check(to_history(recording)), *_not_received(recording)]


def to_history(recording: Recording) -> History:
    """The recording as the checker's history."""
    ended = {one.conn: one.t for one in recording.ended}
    history = History(
        connected=[_connected(one, ended.get(one.conn)) for one in recording.connected],
        memberships=[
            Membership(one.session, file, one.t_request, one.t) for one in recording.connected for file in one.files
        ],
        receipts=[_receipt(one) for one in recording.receipts],
        sent=[_sent(push) for push in recording.pushes],
        faults=[Fault(one.fault, one.phase, one.subject, one.t) for one in recording.faults],
        ends=[IncarnationEnd(one.node, one.epoch, "observer", one.t - DELAY) for one in recording.ends],
        probes={push.push_id for push in recording.pushes if push.probe},
    )
    history.receipts += _lost_with_their_connection(recording)
    return history


def _connected(one: ClientConnected, ended: float | None) -> Connected:
    return Connected(
        one.conn,
        one.session,
        one.user,
        one.node,
        one.epoch,
        tuple(one.files),
        one.t_request,
        one.t,
        one.registered,
        t_ended=None if ended is None else ended - DELAY,
    )


def _receipt(one: ClientReceipt) -> Receipt:
    return Receipt(
        one.conn, one.session, one.node, one.epoch, one.push_id, one.t_mono, t_written=one.t_mono, clock_error=DELAY
    )


def _sent(push: CallerPush) -> Sent:
    outcome = push.outcome
    return Sent(
        push.push_id,
        push.stream,
        push.stream,
        push.target,
        push.t_invoke,
        push.ttl,
        t_return=None if outcome.unknown else push.t_return,
        reports=1,
        outcomes=list(outcome.deliveries),
        counts=dict(outcome.counts),
        refused=outcome.error,
        healed=outcome.healed,
        registry_away=outcome.registry_away,
    )


def _lost_with_their_connection(recording: Recording) -> Iterator[Receipt]:
    """Frames that were written, and whose connection ended before they were received."""
    sessions, received = _sessions_and_receipts(recording)
    ended = {one.conn: one.t for one in recording.ended}
    for push in recording.pushes:
        for session, _node, outcome in push.outcome.deliveries:
            one = sessions.get(session)
            if outcome not in WRITTEN or (push.push_id, session) in received or one is None:
                continue
            if (end := ended.get(one.conn)) is not None and end < push.t_return + GRACE:
                yield Receipt(one.conn, session, one.node, one.epoch, push.push_id, None, t_written=push.t_return)


def _not_received(recording: Recording) -> Iterator[Violation]:
    """A session that was written to before, by its DUPLICATE, has received the push."""
    sessions, received = _sessions_and_receipts(recording)
    ended = {one.conn for one in recording.ended}
    for push in recording.pushes:
        for session, _node, outcome in push.outcome.deliveries:
            one = sessions.get(session)
            if outcome == "DUPLICATE" and one and one.conn not in ended and (push.push_id, session) not in received:
                text = f"{push.push_id}: {session} is DUPLICATE and never got it"
                yield Violation("outcome", text, push.t_return)


def _sessions_and_receipts(recording: Recording) -> tuple[dict[int, ClientConnected], set[tuple[str, int]]]:
    sessions = {one.session: one for one in recording.connected}
    return sessions, {(one.push_id, one.session) for one in recording.receipts}
