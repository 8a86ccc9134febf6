"""docs/promises.md, row 54: idle without an answer is closed at interval + timeout; any sign of life keeps a client."""

import pytest

from gateway.sessions.heartbeat import PROVED, WIDTH, Heartbeat, HeartbeatSettings
from gateway.sessions.rates import LimitSettings, MessageRates
from gateway.sessions.session import Session
from gateway.wire.values import Message
from observability import names
from observability.counters import Counters, counters
from tests.support.wire import TurnedClock, connection_of, open_session, transport_of

COUNTERS = counters(names.GATEWAY)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def begin(
    clock: TurnedClock, interval: float = 25.0, timeout: float = 20.0, growth: float = 1.0, counted: Counters = COUNTERS
) -> tuple[Heartbeat, Session]:
    rates = MessageRates(LimitSettings(), 1_000_000, clock.time)
    heartbeat = Heartbeat(HeartbeatSettings(interval, timeout, growth), rates, counted, clock)
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


def answer_for(clock: TurnedClock, seconds: float, *sessions: Session) -> None:
    """Each client answers its pings within half a second."""
    for _ in range(round(seconds * 2)):
        clock.pass_seconds(0.5)
        for session in sessions:
            connection_of(session).on_pong()


def test_a_connection_that_has_proved_stable_is_pinged_more_rarely_but_not_too_rarely(
    clock: TurnedClock,
) -> None:
    _, session = begin(clock, growth=2.0)
    pings, at = transport_of(session), []
    for _ in range(1200):
        before = pings.pings
        answer_for(clock, 0.5, session)
        at += [clock.now] * (pings.pings - before)
    gaps = [later - earlier for earlier, later in zip([0.0, *at], at, strict=False)]
    assert all(25.0 <= gap <= 26.0 for gap in gaps[:PROVED])
    assert all(50.0 <= gap <= 51.0 for gap in gaps[PROVED:])
    assert len(gaps) > 10


def test_row_54_a_proved_client_that_is_half_open_is_found_within_its_longer_interval(clock: TurnedClock) -> None:
    _, session = begin(clock, growth=2.0)
    answer_for(clock, 130, session)  # it has proved, and was pinged once since
    at, pings = clock.now, transport_of(session).pings
    while transport_of(session).closing is None:
        clock.pass_seconds(0.5)
    assert transport_of(session).pings == pings + 1
    assert clock.now - at <= 50.0 + 20.0 + 1.0


@pytest.mark.parametrize("growth", [1.0, 2.0, 4.0])
def test_n_proved_connections_cost_n_pings_in_each_longer_interval(clock: TurnedClock, growth: float) -> None:
    counted = counters(names.GATEWAY)
    rates = MessageRates(LimitSettings(), 1_000_000, clock.time)
    heartbeat = Heartbeat(HeartbeatSettings(25.0, 20.0, growth), rates, counted, clock)
    sessions = [open_session(sid) for sid in range(1, 101)]
    for session in sessions:
        heartbeat.begin(connection_of(session))
        answer_for(clock, 0.5, *sessions)
    answer_for(clock, 200, *sessions)
    before = counted.pings_sent
    answer_for(clock, 1000, *sessions)
    assert (counted.pings_sent - before) / 1000 == pytest.approx(100 / (25 * growth), rel=0.05)
    assert counted.pings_sent == sum(transport_of(session).pings for session in sessions)


def test_last_seen_is_the_last_ping_that_was_answered(clock: TurnedClock) -> None:
    clock.pass_seconds(100)
    _, session = begin(clock)
    assert connection_of(session).seen_at == 100
    answer_for(clock, 30, session)
    clock.pass_seconds(16)
    assert 125 <= connection_of(session).seen_at <= 126


def test_a_client_whose_bytes_wait_is_not_judged_here(clock: TurnedClock) -> None:
    _, session = begin(clock)
    transport = transport_of(session)
    transport.stuck = True
    connection_of(session).send((Message(True, (b"x",)),))
    clock.pass_seconds(300)
    assert (transport.pings, transport.closing) == (0, None)
    transport.drain()
    clock.pass_seconds(26)
    assert transport.pings == 1


@pytest.mark.parametrize(("settings", "outlasts"), [((25.0, 20.0, 2.0), False), ((25.0, 20.0, 2.4), True)])
def test_intervals_that_a_proxy_does_not_allow_are_known(settings: tuple[float, ...], outlasts: bool) -> None:
    assert HeartbeatSettings(*settings).outlasts_proxies() is outlasts


def test_an_idle_connection_has_no_bucket_again(clock: TurnedClock) -> None:
    _, session = begin(clock)
    connection = connection_of(session)
    rates = MessageRates(LimitSettings(), 1_000_000, clock.time)
    assert rates.take(connection, 100)
    answer_for(clock, 46, session)
    assert connection.bucket is None


def test_a_client_that_we_do_not_read_from_is_closed_when_the_kernel_has_lost_it(clock: TurnedClock) -> None:
    _, session = begin(clock)
    transport = transport_of(session)
    connection_of(session).pause_reading()
    clock.pass_seconds(100)
    assert (transport.pings, transport.closing) == (0, None)
    transport.lost = True
    clock.pass_seconds(26)
    assert transport.closing == (4408, "heartbeat")
