"""That etcd is away is said once, then once a minute, and once when it is back, however many calls fail."""

import logging

import pytest

from registry.etcd.availability import REPEAT, Availability

WHY = "etcd at a:1 does not answer (refused); is it running there?"


class Log:
    """An `Availability` whose clock stands where it is put, and what it logs."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self.now = 100.0
        self.etcd = Availability("a:1", lambda: self.now)
        self._caplog = caplog

    def lines(self) -> list[tuple[str, str]]:
        return [(record.levelname, record.getMessage()) for record in self._caplog.records]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def test_many_failed_calls_are_one_line_a_minute(log: Log) -> None:
    for _ in range(3 * int(REPEAT)):
        log.etcd.failed(WHY)
        log.now += 1.0
    texts = [WHY, f"{WHY} (for 60 s now)", f"{WHY} (for 120 s now)"]
    assert log.lines() == [("WARNING", text) for text in texts]


def test_the_return_is_said_once_and_only_after_a_warning(log: Log) -> None:
    log.etcd.answered()
    log.etcd.failed(WHY)
    log.etcd.answered()
    log.etcd.answered()
    assert log.lines() == [("WARNING", WHY), ("INFO", "etcd at a:1 answers again")]


def test_an_etcd_that_comes_and_goes_is_one_pair_of_lines_a_minute(log: Log) -> None:
    for _ in range(50):
        log.etcd.failed(WHY)
        log.etcd.answered()
        log.now += 1.0
    assert len(log.lines()) == 2


def test_the_reason_is_there_while_etcd_is_away(log: Log) -> None:
    reasons = [log.etcd.why_away]
    log.etcd.failed(WHY)
    reasons.append(log.etcd.why_away)
    log.etcd.answered()
    assert [*reasons, log.etcd.why_away] == ["", WHY, ""]
