"""A session: its stages, the pushes it holds, and that each push gets one outcome."""

import pytest

from gateway.outcome import DROPPED_SLOW, EXPIRED, OFFLINE, WRITTEN
from gateway.sessions.session import HELD_BYTES, Session
from gateway.sessions.stage import IllegalMove, Stage
from gateway.wire.encoding import Encoding
from tests.support.wire import RecordingHandler, make_session, open_connection, open_session, transport_of


class Push:
    """A `SharedPush` that keeps the outcomes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.outcomes: list[int] = []
        self.expired = False

    def is_expired(self) -> bool:
        return self.expired

    def frame(self, encoding: Encoding) -> bytes:
        return self.data

    def settle(self, session: Session, outcome: int) -> None:
        self.outcomes.append(outcome)


def test_what_arrives_before_the_connection_is_held_and_written_in_order() -> None:
    session = make_session()
    one, two = Push(b"one"), Push(b"two")
    assert (session.write(one), session.write(two), session.stage) == (0, 0, Stage.REGISTERING)
    session.attach(open_connection(RecordingHandler(), session))
    assert transport_of(session).frames == [b"one", b"two"]
    assert one.outcomes == two.outcomes == [WRITTEN]
    assert session.write(Push(b"three")) == WRITTEN
    assert session.stage is Stage.CONNECTED


def test_what_is_held_for_longer_than_its_ttl_is_not_written() -> None:
    session = make_session()
    late, early = Push(b"late"), Push(b"early")
    session.write(late)
    session.write(early)
    late.expired = True
    session.attach(open_connection(RecordingHandler(), session))
    assert transport_of(session).frames == [b"early"]
    assert (late.outcomes, early.outcomes) == ([EXPIRED], [WRITTEN])


def test_what_is_held_has_a_bound_but_for_one_that_is_alone() -> None:
    session = make_session()
    assert session.write(Push(b"x" * (HELD_BYTES + 1))) == 0
    assert session.write(Push(b"x")) == DROPPED_SLOW


def test_a_detached_session_holds_and_another_connection_takes_up() -> None:
    session = open_session()
    session.detach()
    push = Push(b"while away")
    assert (session.write(push), session.connection, session.stage) == (0, None, Stage.DETACHED)
    session.attach(open_connection(RecordingHandler(), session))
    assert (transport_of(session).frames, push.outcomes) == ([b"while away"], [WRITTEN])


@pytest.mark.parametrize("detached", [False, True])
def test_a_session_that_closes_was_not_reached(detached: bool) -> None:
    session, push = make_session(), Push(b"x")
    if detached:
        session.attach(open_connection(RecordingHandler(), session))
        session.detach()
    session.write(push)
    session.close()
    assert push.outcomes == [OFFLINE]
    assert session.write(Push(b"y")) == OFFLINE
    assert session.stage is Stage.CLOSED


def test_an_illegal_move_raises_and_changes_nothing() -> None:
    session = make_session()
    push = Push(b"x")
    session.write(push)
    with pytest.raises(IllegalMove, match="REGISTERING cannot detach"):
        session.detach()
    assert (session.stage, session.held, push.outcomes) == (Stage.REGISTERING, [push], [])
    session.close()
    for move in (session.close, session.detach, lambda: session.attach(open_connection(RecordingHandler()))):
        with pytest.raises(IllegalMove):
            move()
        assert (session.stage, session.connection, session.held) == (Stage.CLOSED, None, None)


def test_an_illegal_move_while_connected_leaves_the_session_connected() -> None:
    session = open_session()
    before = session.connection
    with pytest.raises(IllegalMove):
        session.attach(open_connection(RecordingHandler()))
    assert (session.stage, session.connection) == (Stage.CONNECTED, before)
    assert session.write(Push(b"x")) == WRITTEN
