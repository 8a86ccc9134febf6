"""The article's sizes, and what counts as not held."""

import pytest

from bench.cluster import article
from bench.cluster.article import SCENARIOS, Size
from homing.cluster.trouble import CommandError

GOOD = {"online": 100, "refused": 0, "lost_connections": 0, "connects_per_s": 1250, "disconnects_per_s": 1250}
PUSHED = {"done_share": 1.0, "kept_up": True, "lost": 0, "vanished": 0, "twice": 0, "outcomes": {"ACKED": 5}}
SIZE = Size(1, 31_250, 30.0, 800.0)


def test_the_articles_load_on_one_core():
    assert (SIZE.gateways, SIZE.push_rate, SIZE.churn) == (2, 6250.0, 1250.0)
    assert Size(1, 6_250, 30.0, 800.0).churn == 250.0


def test_no_core_is_left(monkeypatch):
    monkeypatch.setattr(article.machine, "cores", lambda: [0, 1])
    with pytest.raises(CommandError, match="at most --cores 1 here"), article.rest_on(2):
        pass


def test_held():
    assert article._missed(GOOD | PUSHED, SIZE, SCENARIOS[3]) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"done_share": 0.5, "pushes_per_s": 3125, "offered_per_s": 6250}, "3125 of 6250 pushes/s were done in time"),
        ({"kept_up": False, "late": 9}, "the pusher fell behind: 9 pushes left late"),
        ({"connects_per_s": 300}, "300 of 1250 connects/s were done"),
        ({"disconnects_per_s": 300}, "300 of 1250 disconnects/s were done"),
        ({"lost": 2}, "2 pushes lost"),
        ({"outcomes": {"ACKED": 1, "UNREACHABLE": 4}}, "pushes ended otherwise: {'UNREACHABLE': 4}"),
        ({"push_errors": {"RESOURCE_EXHAUSTED": 3}}, "refused pushes: {'RESOURCE_EXHAUSTED': 3}"),
        ({"refused": 3, "lost_connections": 1}, "3 connects refused, 1 connections lost"),
    ],
)
def test_what_was_not_held_is_told(change, told):
    assert article._missed(GOOD | PUSHED | change, SIZE, SCENARIOS[3]) == [told]
