"""The harness of `make hostile` runs: two attacks of a second on a real router and on grpcio."""

import json

import pytest

from bench.hostile import __main__ as hostile
from bench.hostile.runs import Runs

pytestmark = pytest.mark.timeout(90)


def test_two_attacks_on_both_servers(capsys):
    hostile.main(["--only", "70 KB", "--only", "PING ACK", "--seconds", "1", "--no-costs", "--json"])
    shown = json.loads(capsys.readouterr().out)
    rows = {(row["attack"], row["server"]): row for row in shown["attacks"]}
    servers, attacks = ("homing", "grpcio"), ("PING ACK", "70 KB of metadata")
    assert set(rows) == {(attack, server) for attack in attacks for server in servers}
    for row in rows.values():
        assert row["serves"]
        assert row["health"]["calls"] > 0 < row["push"]["calls"]
        assert row["push"]["failures"] == {}
        assert 0 < row["rss_mib"]["before"] <= row["rss_mib"]["highest"]
    assert " after " in rows["PING ACK", "grpcio"]["found"]
    assert shown["malformed"]["homing"]["not JSON"] == "400"
    assert "not JSON" not in shown["malformed"]["grpcio"]


def test_a_comparator_has_no_http_port():
    runs = Runs("grpcio")
    try:
        assert [runs.attack(attack, 1.0) for attack in hostile.selected(["http"])] == [None, None]
    finally:
        runs.close()
