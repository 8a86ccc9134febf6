"""The stop conditions of the headline scenario."""

import tomllib
from typing import Any

import pytest

from bench.cluster import headline
from bench.cluster.headline import StopCondition
from bench.cluster.load import histogram
from bench.cluster.load.client_pool import ClientCounts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The time and the available memory, as the test sets them."""
    now = {"time": 100.0, "free": 9e9}
    monkeypatch.setattr(headline.time, "monotonic", lambda: now["time"])
    monkeypatch.setattr(headline.machine, "available_bytes", lambda: now["free"])
    return now


def counts(live: int, **more: Any) -> ClientCounts:
    totals = dict.fromkeys(("waiting", "pushes", "acks", "pings", "lost", "resumed", "unexpected"), 0) | {
        "connected": live
    }
    totals |= {"live": live, "refused": {}, "closes": {}, "connects": [], "latencies": [histogram.empty()] * 4}
    return ClientCounts([totals | more])


def test_the_run_continues_while_clients_connect(clock):
    condition = StopCondition(1_500_000_000)
    for live in range(0, 1000, 100):
        clock["time"] += 15
        assert condition.check(counts(live + 1)) == ""


@pytest.mark.parametrize(
    ("change", "more", "reason"),
    [
        ({"free": 1.4e9}, {}, "memory: 1.4 GB is left"),
        ({"time": 121.0}, {}, "no new client within 20 s"),
        ({}, {"refused": {"EADDRNOTAVAIL": 200}}, "connects fail: {'EADDRNOTAVAIL': 200}"),
        ({}, {"lost": 200, "closes": {"4408": 200}}, "connections are lost: {'4408': 200}"),
    ],
)
def test_each_condition_stops_the_run(clock, change, more, reason):
    condition = StopCondition(1_500_000_000)
    assert condition.check(counts(1000)) == ""
    clock.update(change)
    assert condition.check(counts(1000, **more)) == condition.reason == reason


def test_gateways_and_their_configuration():
    assert (headline.gateways_for(500_000), headline.gateways_for(18_000), headline.gateways_for(18_001)) == (28, 1, 2)
    assert tomllib.loads(headline.settings(300))["gateway"]["heartbeat"] == {
        "interval": 300.0,
        "timeout": 150.0,
        "growth": 1.0,
    }
    assert tomllib.loads(headline.settings(10))["gateway"]["heartbeat"] == {
        "interval": 10.0,
        "timeout": 10.0,
        "growth": 1.0,
    }
