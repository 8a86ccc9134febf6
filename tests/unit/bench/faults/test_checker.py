"""Each kind of wrong history that the suite must find, planted in one that is right."""

from pathlib import Path

import msgspec
import pytest

from bench.faults.checker import DELAY, read_recording, sort_records, violations_of
from bench.faults.records import (
    CallerPush,
    CallOutcome,
    ClientConnected,
    ClientEnded,
    ClientReceipt,
    FaultPhase,
    HistoryWriter,
    IncarnationOver,
    Record,
)

ADA, BOB = 101, 102


def connected(session: int, user: str, *files: str, t: float = 1.0) -> ClientConnected:
    return ClientConnected(session - 100, session - 101, session, user, "g0", 7, list(files), True, t - 0.1, t)


def receipt(session: int, push_id: str, t: float) -> ClientReceipt:
    return ClientReceipt(session - 100, session, "g0", 7, push_id, t)


def pushed(number: int, target: tuple[str, str], t: float, *deliveries: tuple[int, str], **fields: bool) -> CallerPush:
    counts: dict[str, int] = {}
    for _, outcome in deliveries:
        counts[outcome] = counts.get(outcome, 0) + 1
    listed = [(session, "g0" if session else "", outcome) for session, outcome in deliveries]
    return CallerPush(
        number, f"p{number}", "stream-0", target, 10.0, t, t + 0.01, CallOutcome(counts, listed, **fields)
    )


def right() -> list[Record]:
    """Two users in one file: pushes to one of them and to the file, written and received in order."""
    return [
        connected(ADA, "ada", "doc"),
        connected(BOB, "bob", "doc"),
        FaultPhase("SIGSTOP", "begin", "g1", 4.0),
        receipt(ADA, "p1", 5.005),
        pushed(1, ("user", "ada"), 5.0, (ADA, "WRITTEN")),
        receipt(ADA, "p2", 5.105),
        pushed(2, ("user", "ada"), 5.1, (ADA, "WRITTEN")),
        receipt(ADA, "p3", 6.005),
        receipt(BOB, "p3", 6.005),
        pushed(3, ("file", "doc"), 6.0, (ADA, "WRITTEN"), (BOB, "WRITTEN")),
    ]


def found(records: list[Record]) -> set[str]:
    return {one.invariant for one in violations_of(sort_records(records))}


def without(records: list[Record], push_id: str, session: int) -> list[Record]:
    return [
        one
        for one in records
        if not (isinstance(one, ClientReceipt) and (one.push_id, one.session) == (push_id, session))
    ]


def test_a_right_history_has_no_violation() -> None:
    assert found(right()) == set()


def test_a_doubled_receipt() -> None:
    assert found([*right(), receipt(ADA, "p3", 6.2)]) == {"I2"}


def test_a_receipt_after_offline() -> None:
    records = [
        *right(),
        pushed(4, ("user", "carl"), 7.0, (0, "OFFLINE")),
        connected(103, "carl"),
        receipt(103, "p4", 8),
    ]
    assert "outcome" in found(records)


def test_a_receipt_after_the_ttl() -> None:
    late = [pushed(4, ("user", "ada"), 7.0, (ADA, "WRITTEN")), receipt(ADA, "p4", 17.0 + DELAY + 0.1)]
    assert found([*right(), *late]) == {"ttl"}


def test_a_receipt_that_may_have_been_written_within_the_ttl_is_right() -> None:
    late = [pushed(4, ("user", "ada"), 7.0, (ADA, "WRITTEN")), receipt(ADA, "p4", 17.0 + DELAY - 0.1)]
    assert found([*right(), *late]) == set()


@pytest.mark.parametrize("ended", [[], [ClientEnded(1, 0, 1006, 30.0)]])
def test_a_lost_push_that_is_reported_written_while_the_connection_lived(ended: list[Record]) -> None:
    assert found([*without(right(), "p2", ADA), *ended]) == {"outcome"}


def test_a_push_may_be_lost_with_its_connection() -> None:
    lost = [pushed(4, ("user", "ada"), 7.0, (ADA, "WRITTEN")), ClientEnded(1, 0, 1006, 7.5)]
    assert found([*right(), *lost]) == set()


def test_a_duplicate_that_was_never_received() -> None:
    assert found([*right(), pushed(4, ("user", "ada"), 7.0, (ADA, "DUPLICATE"))]) == {"outcome"}


def test_a_receipt_by_a_session_that_never_joined_the_file() -> None:
    stranger = [connected(103, "carl", "other"), receipt(103, "p3", 6.005)]
    assert found([*right(), *stranger]) == {"I5"}


def test_overtaking_on_one_stream() -> None:
    records = without(without(right(), "p1", ADA), "p2", ADA)
    swapped = [receipt(ADA, "p2", 5.3), receipt(ADA, "p1", 5.4)]
    assert found([*swapped, *records]) == {"order"}


def test_somebody_who_is_left_out_of_a_report() -> None:
    records = [*right(), receipt(ADA, "p4", 7.005), pushed(4, ("file", "doc"), 7.0, (ADA, "WRITTEN"))]
    assert found(records) == {"reached"}
    assert found([*records, IncarnationOver("g0", 7, 6.5)]) == set()
    excused = pushed(5, ("file", "doc"), 8.0, (0, "OFFLINE"), registry_away=True)
    assert found([*right(), excused]) == set()


def test_a_session_id_that_is_given_twice() -> None:
    twice = connected(ADA, "ada", "doc", t=2.0)
    twice.conn = 9
    assert "I7" in found([*right(), twice])


def test_a_probe_that_is_not_written() -> None:
    probe = pushed(4, ("session", str(ADA)), 7.0, (0, "OFFLINE"))
    probe.probe = True
    assert "recovery" in found([*right(), probe])


def test_a_refused_push_that_is_received() -> None:
    refused = pushed(4, ("user", "ada"), 7.0)
    refused.outcome.error = "RESOURCE_EXHAUSTED: full"
    assert found([*right(), refused, receipt(ADA, "p4", 7.1)]) == {"I6"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    history = HistoryWriter(tmp_path / "deeper" / "history.jsonl")
    for record in right():
        history.write(record)
    history.close()
    history.write(receipt(ADA, "p9", 9.0))  # after its end
    return history.path


def test_a_history_is_read_as_it_was_written(written: Path) -> None:
    assert read_recording(written) == sort_records(right())
    lines = [msgspec.json.decode(line) for line in written.read_bytes().splitlines()]
    assert lines[3] == {
        "kind": "receipt",
        "conn": 1,
        "session": ADA,
        "node": "g0",
        "epoch": 7,
        "push_id": "p1",
        "t_mono": 5.005,
    }
