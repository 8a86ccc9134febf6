import pytest

from bench.faults import figures
from bench.faults.checker import sort_records
from bench.faults.experiment import Criterion, ExperimentResult, verdict, within
from bench.faults.records import CallerPush, CallOutcome, ClientConnected, ClientEnded
from bench.faults.suite import EXPERIMENTS
from bench.faults.table import HEADING, as_markdown, as_text

FOREVER = float("inf")


def came(client: int, t: float) -> ClientConnected:
    return ClientConnected(client * 100 + int(t * 10), client, int(t * 10), "u", "g0", 1, [], True, t, t)


def pushed(number: int, t: float, **outcome: object) -> CallerPush:
    made = CallOutcome(**outcome)  # type: ignore[arg-type]
    return CallerPush(number, f"p{number}", "s", ("user", "u"), 10, t, t + 0.5, made)


def test_the_gap_of_a_client_lasts_until_its_own_next_connection() -> None:
    records = [came(1, 1), came(2, 1), came(-1, 2), ClientEnded(-80, -1, 1000, 2.5), ClientEnded(110, 1, 1012, 3)]
    records += [came(1, 4), ClientEnded(210, 2, 1006, 5)]
    recording = sort_records(records)
    assert figures.gaps(recording, 2) == [1, FOREVER]
    assert figures.gaps(recording, 4) == [FOREVER]
    assert figures.close_codes(figures.ended_between(recording, 2)) == "1 with 1012, 1 with 1006"


def test_a_client_that_has_moved_before_its_connection_ended_has_no_gap() -> None:
    recording = sort_records([came(1, 1), came(1, 3), ClientEnded(110, 1, 1000, 3.5)])
    assert figures.gaps(recording, 2) == [0]


def test_outcomes_are_counted_by_session_and_calls_without_a_report_by_call() -> None:
    pushes = [pushed(1, 1, counts={"WRITTEN": 2, "OFFLINE": 1}), pushed(2, 2, error="e"), pushed(3, 3, unknown="u")]
    recording = sort_records(pushes)
    counted = figures.outcomes(figures.pushes_between(recording))
    assert counted == {"WRITTEN": 2, "OFFLINE": 1, "error": 1, "unknown": 1}
    assert figures.not_written(counted).keys() == {"OFFLINE", "error", "unknown"}
    assert figures.pushes_between(recording, 2, 3) == [pushes[1]]
    assert figures.wrongly_offline(pushes) == [pushes[0]]


def test_offline_with_the_flag_is_not_wrong() -> None:
    assert not figures.wrongly_offline([pushed(1, 1, counts={"OFFLINE": 1}, registry_away=True)])


def test_percentiles() -> None:
    ordered = [float(value) for value in range(100)]
    assert (figures.percentile(ordered, 0.5), figures.percentile(ordered, 0.99)) == (50, 99)
    assert (figures.percentile([], 0.5), figures.percentile([1.0], 0.99)) == (0, 1)
    assert figures.shown_times([0.001, 0.002]) == "p50 2.0, p99 2.0, max 2 ms"


@pytest.mark.parametrize(
    ("criteria", "violations", "stall", "expected"),
    [
        ([Criterion("", True)], 0, 0.0, "pass"),
        ([Criterion("", True)], 1, 9.0, "fail"),
        ([Criterion("", False)], 0, 9.0, "fail"),
        ([within("", 1.2, 1)], 0, 0.3, "limit"),
        ([within("", 1.2, 1)], 0, 0.1, "fail"),
        ([within("", FOREVER, 1)], 0, 9.0, "fail"),
        ([within("", 0.9, 1)], 0, 0.0, "pass"),
        ([within("", 1.2, 1), Criterion("", False)], 0, 0.3, "fail"),
    ],
)
def test_only_a_limit_of_time_is_excused_and_only_by_a_stall_that_was_seen(
    criteria: list[Criterion], violations: int, stall: float, expected: str
) -> None:
    assert verdict(criteria, violations, stall) == expected


def result(verdict_: str, violations: list[str]) -> ExperimentResult:
    criteria = [Criterion("fine", True), Criterion("too | much", verdict_ == "pass")]
    return ExperimentResult("1", "name", "kill", verdict_, criteria, violations, 1000, 2000, 0.01, 30.0)


def test_the_page_keeps_what_stands_before_the_table() -> None:
    page = f"# Faults\n\ntext\n\n{HEADING}\n\nold | table\n"
    shown = as_markdown(
        page,
        [result("pass", []), result("fail", [f"I2: {n}" for n in range(7)])],
        "1 core",
        "3 clients, 5 pushes a second",
    )
    assert shown.startswith(f"# Faults\n\ntext\n\n{HEADING}\n\n")
    assert "old" not in shown
    assert "1 of 2 experiments passed. 1 core; 3 clients, 5 pushes a second." in shown
    assert "**too / much**<br>**I2: 0**" in shown
    assert "and 2 more violations" in shown
    assert as_markdown(shown, [result("pass", [])], "1 core", "3 clients, 5 pushes a second").count(HEADING) == 1


def test_what_was_not_met_is_marked() -> None:
    shown = as_text([result("fail", ["I2: twice"])])
    assert "X too | much" in shown
    assert "X I2: twice" in shown
    assert "  fine" in shown
    assert shown.endswith("0 of 1 experiments passed")


def test_each_experiment_has_a_number_and_a_name_of_its_own() -> None:
    assert len({one.number for one in EXPERIMENTS}) == len({one.name for one in EXPERIMENTS}) == len(EXPERIMENTS)
