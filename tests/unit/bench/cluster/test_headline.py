"""When the headline stops, and why."""

import tomllib
from typing import Any

import pytest

from bench.cluster import headline
from bench.cluster.headline import BatchGuard
from bench.cluster.load import histogram
from bench.cluster.load.crowds import Counts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The time, and the memory that is free."""
    now = {"time": 100.0, "free": 9e9}
    monkeypatch.setattr(headline.time, "monotonic", lambda: now["time"])
    monkeypatch.setattr(headline.machine, "available", lambda: now["free"])
    return now


def counts(live: int, **more: Any) -> Counts:
    told = dict.fromkeys(("waiting", "pushes", "acks", "pings", "lost", "strange"), 0) | {"connected": live}
    told |= {"live": live, "refused": {}, "closes": {}, "connects": [], "latencies": [histogram.empty()] * 4}
    return Counts([told | more])


def test_it_goes_on_while_clients_come(clock):
    guard = BatchGuard(1_500_000_000)
    for live in range(0, 1000, 100):
        clock["time"] += 15
        assert guard.judge(counts(live + 1)) == ""


@pytest.mark.parametrize(
    ("change", "more", "why"),
    [
        ({"free": 1.4e9}, {}, "memory: 1.4 GB is left"),
        ({"time": 121.0}, {}, "nobody more came within 20 s"),
        ({}, {"refused": {"EADDRNOTAVAIL": 200}}, "connects fail: {'EADDRNOTAVAIL': 200}"),
        ({}, {"lost": 200, "closes": {"4408": 200}}, "connections are lost: {'4408': 200}"),
    ],
)
def test_what_stops_it(clock, change, more, why):
    guard = BatchGuard(1_500_000_000)
    assert guard.judge(counts(1000)) == ""
    clock.update(change)
    assert guard.judge(counts(1000, **more)) == guard.why == why


def test_gateways_and_their_configuration():
    assert (headline.gateways_for(500_000), headline.gateways_for(18_000), headline.gateways_for(18_001)) == (28, 1, 2)
    assert tomllib.loads(headline.settings(300))["gateway"]["heartbeat"] == {"interval": 300.0, "timeout": 150.0}
    assert tomllib.loads(headline.settings(10))["gateway"]["heartbeat"] == {"interval": 10.0, "timeout": 10.0}
