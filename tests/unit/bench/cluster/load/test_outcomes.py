"""What the caller was told, beside what the clients heard."""

from array import array

from bench.cluster.load.outcomes import Outcomes, compare


def outcomes(*reports: tuple[dict[str, int], str] | None) -> Outcomes:
    made = Outcomes(len(reports) + 1)  # the last is never sent
    for number, report in enumerate(reports):
        made.sent(number)
        if report is not None:
            made.report(number, *report, late_us=100)
    return made


def test_counts():
    made = outcomes(({"WRITTEN": 1}, ""), ({"ACKED": 1}, ""), ({}, "RESOURCE_EXHAUSTED"), None)
    told = made.told()
    assert told["reported"] == 3
    assert told["outcomes"] == {"WRITTEN": 1, "ACKED": 1}
    assert told["errors"] == {"RESOURCE_EXHAUSTED": 1}
    assert sum(told["latencies"]) == 3


def test_all_well():
    made = outcomes(({"WRITTEN": 1}, ""), ({"OFFLINE": 1}, ""), ({}, "RESOURCE_EXHAUSTED"))
    assert compare(made.codes, array("I", [1])) == {"lost": 0, "vanished": 0, "untold": 0, "twice": 0}


def test_neither_reported_nor_received_is_lost():
    assert compare(outcomes(None).codes, array("I"))["lost"] == 1


def test_received_without_a_report_is_untold_and_not_lost():
    judged = compare(outcomes(None).codes, array("I", [1]))
    assert (judged["lost"], judged["untold"]) == (0, 1)


def test_reported_as_written_and_not_received_has_vanished():
    assert compare(outcomes(({"WRITTEN": 1}, "")).codes, array("I", [0]))["vanished"] == 1


def test_received_and_reported_as_offline_is_untold():
    assert compare(outcomes(({"OFFLINE": 1}, "")).codes, array("I", [1]))["untold"] == 1


def test_received_twice():
    assert compare(outcomes(({"ACKED": 1}, "")).codes, array("I", [2]))["twice"] == 1


def test_several_outcomes_say_nothing_of_one_receiver():
    made = outcomes(({"WRITTEN": 1, "UNREACHABLE": 1}, ""))
    assert compare(made.codes, array("I", [1])) == {"lost": 0, "vanished": 0, "untold": 0, "twice": 0}
