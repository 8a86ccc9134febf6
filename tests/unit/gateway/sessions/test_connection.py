"""A connection: its budget, the pushes that the kernel has not taken, its pauses; and two sessions on one."""

from gateway.close_codes import BAD_MESSAGES
from gateway.outcome import DROPPED_SLOW, OFFLINE, WRITTEN
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection
from gateway.sessions.session import Session
from gateway.sessions.stage import Stage
from gateway.wire.values import Message
from tests.support.wire import (
    RecordingHandler,
    RecordingTransport,
    connection_of,
    leave,
    make_session,
    open_connection,
    open_session,
    transport_of,
)
from tests.unit.gateway.sessions.test_session import Push

SMALL = Budget(unsent_bytes=100, stalled_s=10)


def two_on_one() -> tuple[Session, Session, RecordingHandler]:
    """Two sessions, as two namespaces of one Socket.IO client will be."""
    handler, one, two = RecordingHandler(), make_session(1), make_session(2)
    connection = open_connection(handler, one, two, budget=SMALL)
    one.attach(connection)
    two.attach(connection)
    return one, two, handler


def test_what_the_kernel_does_not_take_is_settled_when_it_does() -> None:
    session = open_session(budget=SMALL)
    transport_of(session).stuck = True
    pushes = [Push(b"x" * 60), Push(b"x" * 40)]
    assert [session.write(push) for push in pushes] == [0, 0]
    assert session.write(Push(b"x")) == DROPPED_SLOW
    transport_of(session).drain()
    assert [push.outcomes for push in pushes] == [[WRITTEN], [WRITTEN]]
    assert connection_of(session).unwritten is None
    assert session.write(Push(b"y")) == WRITTEN


def test_one_frame_over_the_budget_may_go_to_an_empty_buffer() -> None:
    session = open_session(budget=SMALL)
    transport_of(session).stuck = True
    assert session.write(Push(b"x" * 1000)) == 0


def test_a_client_that_goes_was_not_reached() -> None:
    session, push = open_session(), Push(b"x")
    transport_of(session).stuck = True
    session.write(push)
    leave(session)
    assert push.outcomes == [OFFLINE]
    assert session.write(Push(b"y")) == OFFLINE


def test_nothing_is_written_after_a_close_code() -> None:
    session = open_session()
    connection_of(session).close(BAD_MESSAGES)
    assert session.write(Push(b"x")) == OFFLINE
    assert connection_of(session).send((Message(True, (b"x",)),))
    assert (transport_of(session).frames, transport_of(session).closing) == ([], (4400, "bad messages"))


def test_answers_to_a_client_that_never_reads_end_at_the_budget() -> None:
    session = open_session(budget=SMALL)
    transport_of(session).stuck = True
    answer = (Message(True, (b"x" * 80,)),)
    assert connection_of(session).send(answer)
    assert not connection_of(session).send(answer)
    assert connection_of(session).send(())


def test_messages_of_one_answer_leave_as_frames_in_one_write() -> None:
    session = open_session()
    connection_of(session).send((Message(True, (b"a", b"b")), Message(False, (b"c",))))
    assert transport_of(session).frames == [b"\x81\x02ab\x82\x01c"]


def test_any_sign_of_life_answers_a_ping() -> None:
    for sign in (
        lambda c: c.on_pong(),
        lambda c: c.on_message(True, b"{}"),
        lambda c: c.on_partial(),
        lambda c: c.resume_reading(),
    ):
        connection = connection_of(open_session())
        connection.awaits_pong = True
        sign(connection)
        assert not connection.awaits_pong


def test_a_connection_without_a_session_only_has_its_handler() -> None:
    handler = RecordingHandler()
    connection = Connection(handler, SMALL)
    assert not connection.is_open
    assert connection.unsent() == 0
    connection.on_open(RecordingTransport(connection))
    connection.on_message(True, b"hi")
    connection.on_pong()
    connection.on_writable()
    connection.on_close(1001, "")
    assert [note for note, _ in handler.notes] == ["open", "message", "close"]
    assert not connection.is_open


def test_two_sessions_share_the_budget_and_each_push_is_settled_for_its_own_session() -> None:
    one, two, handler = two_on_one()
    transport = transport_of(one)
    assert transport is transport_of(two)
    transport.stuck = True
    first, second, third = Push(b"x" * 60), Push(b"x" * 40), Push(b"x")
    assert (one.write(first), two.write(second), two.write(third)) == (0, 0, DROPPED_SLOW)
    assert [note for note, _ in handler.notes].count("blocked") == 1
    transport.drain()
    assert (first.outcomes, second.outcomes, third.outcomes) == ([WRITTEN], [WRITTEN], [])


def test_one_of_two_sessions_may_end_and_the_other_goes_on() -> None:
    one, two, _ = two_on_one()
    one.close()
    assert (one.write(Push(b"x")), two.write(Push(b"y"))) == (OFFLINE, WRITTEN)
    leave(two)  # as the handler of a protocol with namespaces: those that are not CLOSED
    assert (one.stage, two.stage) == (Stage.CLOSED, Stage.CLOSED)


def test_a_transport_that_says_it_is_blocked_has_its_handler_told_once() -> None:
    handler, push = RecordingHandler(), Push(b"x")
    session = make_session()
    connection = open_connection(handler, session)
    session.attach(connection)
    connection.on_blocked()
    transport_of(session).stuck = True
    assert session.write(push) == 0
    connection.on_blocked()
    assert [note for note, _ in handler.notes].count("blocked") == 1
    assert connection.unwritten == [(session, push)]
    transport_of(session).drain()
    assert (push.outcomes, connection.unwritten) == ([WRITTEN], None)


def test_a_connection_that_is_gone_takes_every_request_and_does_nothing() -> None:
    connection = connection_of(open_session())
    transport = connection._transport
    assert isinstance(transport, RecordingTransport)
    connection.on_close(1006, "")
    connection.awaits_pong = True
    connection.ping()
    connection.close(BAD_MESSAGES)
    connection.pause_reading()
    assert (transport.pings, transport.closing, transport.reading) == (0, None, True)
    transport.pause_reading()
    assert not connection.reading_paused
    connection.resume_reading()
    assert (transport.reading, connection.awaits_pong) == (False, False)
    assert (connection.acknowledged(), connection.unsent()) == (0, 0)


def test_after_a_switch_only_the_other_handler_hears_the_client() -> None:
    first, second = RecordingHandler(), RecordingHandler()
    connection = open_connection(first)
    connection.switch_to(second)
    connection.on_message(True, b"hi")
    assert ([note for note, _ in first.notes], second.notes) == (["open"], [("message", b"hi")])
