"""The table: its columns stand under their heads, and a row that says nothing says why."""

from bench.compare.rows import HEAD, line
from tests.unit.bench.compare.rows import both, row


def test_columns_stand_under_their_heads() -> None:
    ends = [HEAD.index(name) + len(name) for name in ("gateways", "handled", "amplif.", "CPU us", "p50 ms", "bus B")]
    for one in (row("broadcast", 8, 12345.6, "kafka"), *both()):
        told = line(one)
        assert [told[end - 1] != " " and told[end : end + 1] in (" ", "") for end in ends] == [True] * len(ends)
        assert told.startswith(one.mode)
        assert "INVALID" not in told


def test_an_invalid_row_says_why() -> None:
    assert line(row("routed", 1, 1, valid=False, why="99 of 100 messages arrived")).endswith(
        "INVALID: 99 of 100 messages arrived"
    )
