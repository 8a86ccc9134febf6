"""`make bench`: what counts as a regression."""

import json

from bench.cluster import ratio_check


def test_a_ratio_over_the_margin_is_a_regression():
    ratios = {"echo": 3.1, "fanout": 1.4, "new": 100.0}
    assert ratio_check.regressions(ratios, {"echo": 2.0, "fanout": 1.0}, 1.5) == ["echo"]
    assert ratio_check.regressions(ratios, {"echo": 2.1, "fanout": 1.0}, 1.5) == []


def test_the_table_marks_the_regression():
    text = ratio_check.table({"echo": [(80.0, 20.0), (62.0, 30.0)], "fanout": [(10.0, 10.0)]}, {"echo": 2.0}, 1.5)
    assert "WORSE" in text.splitlines()[1]
    assert "WORSE" not in text.splitlines()[2]


def test_the_lowest_cost_of_each_side_counts():
    assert ratio_check.lowest_ratios({"echo": [(60.0, 20.0), (50.0, 40.0)]}) == {"echo": 2.5}


def test_a_recorded_file_can_be_read_back(tmp_path):
    ratio_check.record(tmp_path / "ratios.json", {"echo": 2.5})
    content = json.loads((tmp_path / "ratios.json").read_text())
    assert (content["ratios"], content["margin"]) == ({"echo": 2.5}, ratio_check.MARGIN)


def test_the_recorded_file_has_every_scenario():
    content = json.loads(ratio_check.RATIOS_FILE.read_text())
    assert set(content["ratios"]) == set(ratio_check.SCENARIOS)
