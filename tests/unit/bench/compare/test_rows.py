"""The table: its columns are aligned with the header, and an invalid row ends with its reason."""

from bench.compare.rows import HEADER, format_row
from tests.unit.bench.compare.rows import all_rows, row


def test_columns_are_aligned_with_the_header() -> None:
    ends = [HEADER.index(name) + len(name) for name in ("gateways", "handled", "amplif.", "CPU us", "p50 ms", "bus B")]
    for measured in (row("broadcast", 8, 12345.6, "kafka"), *all_rows()):
        text = format_row(measured)
        assert [text[end - 1] != " " and text[end : end + 1] in (" ", "") for end in ends] == [True] * len(ends)
        assert text.startswith(measured.mode)
        assert "INVALID" not in text


def test_an_invalid_row_ends_with_its_reason() -> None:
    assert format_row(row("routed", 1, 1, valid=False, reason="99 of 100 messages arrived")).endswith(
        "INVALID: 99 of 100 messages arrived"
    )
