"""docs/promises.md, row 54: idle without an answer is closed at interval + timeout; any sign of life keeps a client."""

import pytest

from gateway.sessions.heartbeat import WIDTH, Heartbeat, HeartbeatSettings
from gateway.sessions.session import Session
from observability import names
from observability.counters import counters
from tests.support.wire import TurnedClock, connection_of, open_session, transport_of


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def begin(clock: TurnedClock, interval: float = 25.0, timeout: float = 20.0) -> tuple[Heartbeat, Session]:
    heartbeat = Heartbeat(HeartbeatSettings(interval, timeout), counters(names.GATEWAY), clock)
    session = open_session()
    heartbeat.begin(connection_of(session))
    return heartbeat, session


def test_row_54_a_client_that_never_answers_is_closed_in_time(clock: TurnedClock) -> None:
    _, session = begin(clock)
    clock.pass_seconds(25.0 - 0.001)
    assert transport_of(session).pings == 0
    clock.pass_seconds(2 * WIDTH)
    assert transport_of(session).pings == 1
    clock.pass_seconds(20.0 - 2 * WIDTH)
    assert transport_of(session).closing is None
    clock.pass_seconds(46.0 - clock.now)
    assert transport_of(session).closing == (4408, "heartbeat")


@pytest.mark.parametrize("timeout", [20.0, 30.0])
def test_a_client_that_answers_is_asked_again_and_never_closed(clock: TurnedClock, timeout: float) -> None:
    _, session = begin(clock, timeout=timeout)
    for _ in range(2000):
        clock.pass_seconds(0.5)
        connection_of(session).on_pong()
    asked = transport_of(session).pings
    assert 1000 / (max(25.0, timeout) + 3 * WIDTH) - 1 <= asked <= 1000 / 25.0
    assert transport_of(session).closing is None


def test_a_client_that_we_do_not_read_from_is_not_closed_for_its_silence(clock: TurnedClock) -> None:
    _, session = begin(clock)
    clock.pass_seconds(26)
    assert connection_of(session).awaits_pong
    connection_of(session).pause_reading()
    clock.pass_seconds(200)
    assert transport_of(session).closing is None
    connection_of(session).resume_reading()
    clock.pass_seconds(100)
    assert transport_of(session).closing == (4408, "heartbeat")


def test_who_is_gone_is_not_asked(clock: TurnedClock) -> None:
    heartbeat, session = begin(clock)
    connection, transport = connection_of(session), transport_of(session)
    heartbeat.end(connection)
    connection.on_close(1000, "")
    clock.pass_seconds(100)
    assert (transport.pings, transport.closing) == (0, None)
    heartbeat.close()
