"""What of a service's log is told."""

import json

import pytest

from bench.cluster.rig import judge_line


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"event": "gw-1 is up", "level": "info"}, ""),
        ({"event": "the stream to gw-1 is down: internal", "level": "info"}, "the stream to gw-1 is down: internal"),
        ({"event": "etcd does not answer", "level": "warning"}, "etcd does not answer"),
        ({"event": "failed", "level": "error", "exception": "Traceback\n  x\nKeyError: 1"}, "failed (KeyError: 1)"),
    ],
)
def test_warnings_and_streams_that_went_down(line, complaint):
    assert judge_line(json.dumps(line)) == complaint


def test_what_is_no_json_is_passed_over():
    assert judge_line("Traceback (most recent call last):") == ""
