"""Whether any router can be reached: what is logged, and when a call is given up."""

import logging

import pytest

from homing.client.reachability import ATTEMPT, Reachability, last_reason


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def routers(clock: Clock) -> Reachability:
    return Reachability(["a:1", "b:2"], 5.0, clock)


def test_one_line_when_none_answers_and_one_when_one_does(
    routers: Reachability, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "homing.client")
    routers.reached("a:1")
    for _ in range(9):
        routers.failed("a:1", "Connection refused")
        routers.failed("b:2", "no answer")
    routers.reached("b:2")
    routers.reached("b:2")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "cannot reach router a:1 (Connection refused); trying a:1, b:2"),
        ("INFO", "router b:2 answers"),
    ]


def test_a_call_waits_from_its_beginning_or_from_the_loss_of_the_last_router(
    routers: Reachability, clock: Clock
) -> None:
    assert routers.give_up_at(100.0) == 105.0
    clock.now = 103.0
    routers.failed("a:1", "gone")
    assert routers.give_up_at(100.0) == 108.0, "it was waiting for its report until then"
    assert routers.give_up_at(104.0) == 109.0
    routers.reached("a:1")
    assert routers.give_up_at(104.0) == 109.0


def test_an_attempt_that_nobody_answered_counts_from_its_beginning(routers: Reachability, clock: Clock) -> None:
    clock.now = 102.0
    routers.failed("a:1", "no answer", 100.0)
    assert routers.give_up_at(100.0) == 105.0


def test_an_attempt_ends_in_time_for_the_next_address_and_for_the_call(routers: Reachability, clock: Clock) -> None:
    assert routers.attempt_limit(100.0) == ATTEMPT
    clock.now = 104.0
    assert routers.attempt_limit(100.0) == 1.0
    clock.now = 200.0
    assert routers.attempt_limit(100.0) == 0.05


def test_the_error_names_the_addresses_the_reason_and_the_cure(routers: Reachability) -> None:
    routers.failed("b:2", "Connection refused")
    assert routers.describe() == (
        "no router answers at a:1, b:2 within 5 s (b:2: Connection refused); "
        "is the cluster up (`homing up`), is the address right?"
    )


@pytest.mark.parametrize(("timeout", "delay"), [(5.0, 1.25), (0.0, 0.05)])
def test_a_call_meets_several_attempts_and_none_spins(clock: Clock, timeout: float, delay: float) -> None:
    assert Reachability(["a:1"], timeout, clock).longest_delay == delay


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ("failed to connect; last error: UNKNOWN: ipv4:1.2.3.4:5: connect: Connection refused", "Connection refused"),
        ("[a: b: Timeout occurred: FD shutdown]", "FD shutdown"),
        ("Stream removed (Socket closed)", "Stream removed (Socket closed)"),
        ("failed (a: Socket closed)", "Socket closed"),
        ("", ""),
        ("a: gone\n\x1b[2J forged", "gone??[2J forged"),
    ],
)
def test_the_reason_is_the_last_part_of_grpcs_text(details: str, reason: str) -> None:
    assert last_reason(details) == reason
