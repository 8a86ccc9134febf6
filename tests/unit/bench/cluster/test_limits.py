"""The limit on open files: raised when it suffices, else an error with the possible sizes and the remedy."""

import resource

import pytest

from bench.cluster import limits
from homing.cluster.errors import CommandError


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A hard limit of 1,200 files. Returns the limits that were set."""
    changed: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (256, 1200))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, pair: changed.append(pair))
    return changed


def test_a_sufficient_hard_limit_becomes_the_soft_limit(limit):
    limits.check_file_limit(2000, 2)
    assert limit == [(1200, 1200)]
    assert limits.max_clients_per_process() == 1000


def test_a_low_hard_limit_is_an_error_with_the_remedy(limit):
    with pytest.raises(CommandError) as error:
        limits.check_file_limit(2100, 2)
    text = str(error.value)
    assert "2100 clients on 2 gateways need 1250 open files a process; the hard limit is 1200" in text
    assert "Possible here: 2000 clients, or 3 gateways" in text
    assert "ulimit -Hn 1250" in text
