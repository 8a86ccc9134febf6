"""The reports of a series, compared with what the clients received."""

from array import array

from bench.cluster.load.outcomes import PushOutcomes, reconcile


def outcomes(*reports: tuple[dict[str, int], str] | None) -> PushOutcomes:
    series = PushOutcomes(len(reports) + 1)  # the last is never sent
    for number, report in enumerate(reports):
        series.on_sent(number)
        if report is not None:
            series.on_report(number, *report, latency_us=100)
    return series


def test_counts():
    series = outcomes(({"WRITTEN": 1}, ""), ({"ACKED": 1}, ""), ({}, "RESOURCE_EXHAUSTED"), None)
    counts = series.as_dict()
    assert counts["reported"] == 3
    assert counts["outcomes"] == {"WRITTEN": 1, "ACKED": 1}
    assert counts["errors"] == {"RESOURCE_EXHAUSTED": 1}
    assert sum(counts["latencies"]) == 3


def test_reported_and_received_pushes_count_nowhere():
    series = outcomes(({"WRITTEN": 1}, ""), ({"OFFLINE": 1}, ""), ({}, "RESOURCE_EXHAUSTED"))
    assert reconcile(series.codes, array("I", [1])) == {"lost": 0, "undelivered": 0, "unreported": 0, "duplicated": 0}


def test_neither_reported_nor_received_is_lost():
    assert reconcile(outcomes(None).codes, array("I"))["lost"] == 1


def test_received_without_a_report_is_unreported_and_not_lost():
    reconciled = reconcile(outcomes(None).codes, array("I", [1]))
    assert (reconciled["lost"], reconciled["unreported"]) == (0, 1)


def test_reported_as_written_and_not_received_is_undelivered():
    assert reconcile(outcomes(({"WRITTEN": 1}, "")).codes, array("I", [0]))["undelivered"] == 1


def test_received_and_reported_as_offline_is_unreported():
    assert reconcile(outcomes(({"OFFLINE": 1}, "")).codes, array("I", [1]))["unreported"] == 1


def test_received_twice_is_duplicated():
    assert reconcile(outcomes(({"ACKED": 1}, "")).codes, array("I", [2]))["duplicated"] == 1


def test_mixed_outcomes_count_nowhere():
    series = outcomes(({"WRITTEN": 1, "UNREACHABLE": 1}, ""))
    assert reconcile(series.codes, array("I", [1])) == {"lost": 0, "undelivered": 0, "unreported": 0, "duplicated": 0}
