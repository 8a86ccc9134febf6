"""`make bench`: what counts as worse."""

import json

from bench.cluster import short


def test_worse_by_more_than_the_margin():
    best = {"echo": 3.1, "fanout": 1.4, "new": 100.0}
    assert short.judge(best, {"echo": 2.0, "fanout": 1.0}, 1.5) == ["echo"]
    assert short.judge(best, {"echo": 2.1, "fanout": 1.0}, 1.5) == []


def test_the_table_says_which():
    text = short.table({"echo": [(80.0, 20.0), (62.0, 30.0)], "fanout": [(10.0, 10.0)]}, {"echo": 2.0}, 1.5)
    assert "WORSE" in text.splitlines()[1]
    assert "WORSE" not in text.splitlines()[2]


def test_the_least_of_either_counts():
    assert short.best_of({"echo": [(60.0, 20.0), (50.0, 40.0)]}) == {"echo": 2.5}


def test_what_is_recorded_is_what_later_runs_read(tmp_path):
    short.record(tmp_path / "ratios.json", {"echo": 2.5})
    told = json.loads((tmp_path / "ratios.json").read_text())
    assert (told["ratios"], told["margin"]) == ({"echo": 2.5}, short.MARGIN)


def test_the_recorded_file_has_every_scenario():
    told = json.loads(short.FILE.read_text())
    assert set(told["ratios"]) == set(short.SCENARIOS)
