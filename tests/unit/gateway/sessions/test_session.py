"""A session: held until open, written, owed, dropped, gone; each push told exactly once."""

from gateway.door.values import Arrival
from gateway.outcome import DROPPED_SLOW, OFFLINE, WRITTEN
from gateway.sessions.budget import Budget
from gateway.sessions.session import Session, UnauthenticatedClient
from gateway.wire.envelope_json import JsonEnvelope
from tests.support.wire import RecordingConnection, RecordingDesk, connection_of, make_session, open_session

BUDGET = Budget(unsent_bytes=100, behind_s=10)


class OutcomeSink:
    def __init__(self) -> None:
        self.told: list[int] = []

    def settle(self, session: Session, outcome: int) -> None:
        self.told.append(outcome)


def test_what_comes_before_the_handshake_is_held_and_follows_it_in_order() -> None:
    desk, debt = RecordingDesk(), OutcomeSink()
    session = make_session(desk)
    assert session.write(b"one", debt, BUDGET) == 0
    assert session.write(b"two", debt, BUDGET) == 0
    connection = RecordingConnection(session)
    session.opened(connection)
    assert connection.frames == []  # the desk says hello first
    session.tell(b"hello", BUDGET)
    session.release(BUDGET)
    assert connection.frames == [b"hello", b"one", b"two"]
    assert debt.told == [WRITTEN, WRITTEN]
    assert session.write(b"three", debt, BUDGET) == WRITTEN


def test_what_is_held_has_a_bound() -> None:
    session, debt = make_session(RecordingDesk()), OutcomeSink()
    assert session.write(b"x" * 90, debt, BUDGET) == 0
    assert session.write(b"x" * 11, debt, BUDGET) == DROPPED_SLOW
    assert session.write(b"x" * 10, debt, BUDGET) == 0


def test_a_frame_that_the_kernel_does_not_take_is_owed_until_it_does() -> None:
    desk, debt = RecordingDesk(), OutcomeSink()
    session = open_session(desk)
    connection = connection_of(session)
    connection.stuck = True
    assert session.write(b"x" * 60, debt, BUDGET) == 0
    assert session.write(b"x" * 40, debt, BUDGET) == 0
    assert session.write(b"x", debt, BUDGET) == DROPPED_SLOW
    assert [note for note, _ in desk.notes].count("behind") == 1
    connection.drain()
    assert debt.told == [WRITTEN, WRITTEN]
    assert session.owed is None
    assert session.write(b"y", debt, BUDGET) == WRITTEN


def test_one_frame_over_the_budget_may_go_to_an_empty_buffer() -> None:
    session, debt = open_session(RecordingDesk()), OutcomeSink()
    connection_of(session).stuck = True
    assert session.write(b"x" * 1000, debt, BUDGET) == 0


def test_who_goes_was_not_reached() -> None:
    desk, debt = RecordingDesk(), OutcomeSink()
    session = open_session(desk)
    connection_of(session).stuck = True
    session.write(b"x", debt, BUDGET)
    session.closed(1006, "")
    assert debt.told == [OFFLINE]
    assert desk.notes[-1] == ("gone", (1006, ""))
    assert session.write(b"y", debt, BUDGET) == OFFLINE
    never_opened = make_session(desk, 2)
    never_opened.write(b"x", debt, BUDGET)
    never_opened.closed(1006, "")
    assert debt.told == [OFFLINE, OFFLINE]


def test_nothing_is_written_to_a_connection_that_has_said_goodbye() -> None:
    session, debt = open_session(RecordingDesk()), OutcomeSink()
    session.close(4400, "bad messages")
    assert session.write(b"x", debt, BUDGET) == OFFLINE
    assert session.tell(b"x", BUDGET)
    assert connection_of(session).frames == []


def test_a_client_that_asks_and_never_reads_is_told_apart() -> None:
    session = open_session(RecordingDesk())
    connection_of(session).stuck = True
    assert session.tell(b"x" * 90, BUDGET)
    assert not session.tell(b"x" * 90, BUDGET)
    assert session.tell(None, BUDGET)


def test_any_sign_of_incarnation_answers_a_ping() -> None:
    for sign in (lambda s: s.pong(), lambda s: s.message(True, b"{}")):
        session = open_session(RecordingDesk())
        session.asked = True
        sign(session)
        assert not session.asked


def test_an_unidentified_client_is_another_type_and_owes_nothing() -> None:
    desk = RecordingDesk()
    newcomer = UnauthenticatedClient(desk, Arrival(JsonEnvelope(), None, (), "203.0.113.1:5555"))
    connection = RecordingConnection(newcomer)
    newcomer.opened(connection)
    newcomer.message(True, b"hi")
    newcomer.pong()
    newcomer.writable()
    newcomer.closed(1001, "")
    assert [note for note, _ in desk.notes] == ["newcomer opened", "newcomer said", "newcomer gone"]
    assert newcomer.connection is None
