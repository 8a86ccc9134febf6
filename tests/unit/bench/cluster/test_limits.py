"""A file limit too low: what is possible, and what to raise."""

import resource

import pytest

from bench.cluster import limits
from homing.cluster.trouble import CommandError


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A hard limit of 1,200 files; what was set."""
    changed: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (256, 1200))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, pair: changed.append(pair))
    return changed


def test_enough_raises_the_soft_limit(limit):
    limits.judge(2000, 2)
    assert limit == [(1200, 1200)]
    assert limits.files_for_clients() == 1000


def test_too_few(limit):
    with pytest.raises(CommandError) as told:
        limits.judge(2100, 2)
    text = str(told.value)
    assert "2100 clients on 2 gateways need 1250 open files a process; the hard limit is 1200" in text
    assert "Possible here: 2000 clients, or 3 gateways" in text
    assert "ulimit -Hn 1250" in text
