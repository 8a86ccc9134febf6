"""The article's sizes, and the shortfalls of a scenario."""

import pytest

from bench.cluster import article
from bench.cluster.article import SCENARIOS, ArticleSize
from homing.cluster.errors import CommandError

GOOD = {"online": 100, "refused": 0, "lost_connections": 0, "connects_per_s": 1250, "disconnects_per_s": 1250}
PUSHED = {"done_share": 1.0, "kept_pace": True, "lost": 0, "undelivered": 0, "duplicated": 0, "outcomes": {"ACKED": 5}}
SIZE = ArticleSize(1, 31_250, 30.0, 800.0)


def test_the_articles_load_on_one_core():
    assert (SIZE.gateways, SIZE.push_rate, SIZE.churn_rate) == (2, 6250.0, 1250.0)
    assert ArticleSize(1, 6_250, 30.0, 800.0).churn_rate == 250.0


def test_the_gateways_must_leave_a_core(monkeypatch):
    monkeypatch.setattr(article.machine, "usable_cores", lambda: [0, 1])
    with pytest.raises(CommandError, match="at most --cores 1 here"), article.reserve_gateway_cores(2):
        pass


def test_a_good_row_has_no_shortfalls():
    assert article._shortfalls(GOOD | PUSHED, SIZE, SCENARIOS[3]) == []


@pytest.mark.parametrize(
    ("change", "shortfall"),
    [
        ({"done_share": 0.5, "pushes_per_s": 3125, "offered_per_s": 6250}, "3125 of 6250 pushes/s were done in time"),
        ({"kept_pace": False, "late": 9}, "the push generator fell behind: 9 pushes were sent late"),
        ({"connects_per_s": 300}, "300 of 1250 connects/s were done"),
        ({"disconnects_per_s": 300}, "300 of 1250 disconnects/s were done"),
        ({"lost": 2}, "2 pushes lost"),
        ({"outcomes": {"ACKED": 1, "UNREACHABLE": 4}}, "pushes with other outcomes: {'UNREACHABLE': 4}"),
        ({"push_errors": {"RESOURCE_EXHAUSTED": 3}}, "refused pushes: {'RESOURCE_EXHAUSTED': 3}"),
        ({"refused": 3, "lost_connections": 1}, "3 connects refused, 1 connections lost"),
    ],
)
def test_each_shortfall_is_named(change, shortfall):
    assert article._shortfalls(GOOD | PUSHED | change, SIZE, SCENARIOS[3]) == [shortfall]
