"""Which lines of a service's log are warnings."""

import json

import pytest

from bench.cluster.bench_cluster import warning_of


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ({"event": "gw-1 is up", "level": "info"}, ""),
        ({"event": "the stream to gw-1 is down: internal", "level": "info"}, "the stream to gw-1 is down: internal"),
        ({"event": "etcd does not answer", "level": "warning"}, "etcd does not answer"),
        ({"event": "failed", "level": "error", "exception": "Traceback\n  x\nKeyError: 1"}, "failed (KeyError: 1)"),
    ],
)
def test_warnings_and_broken_streams_are_found(line, warning):
    assert warning_of(json.dumps(line)) == warning


def test_lines_without_json_are_ignored():
    assert warning_of("Traceback (most recent call last):") == ""
