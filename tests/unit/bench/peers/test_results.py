"""Medians of rounds, ratios within a round, and the tables."""

from bench.peers.results import PLAIN, TLS, PeerResults
from bench.peers.table import tables


def measured() -> PeerResults:
    results = PeerResults()
    for number, (ours, bare) in enumerate([(12.0, 6.0), (9.0, 9.0), (30.0, 10.0)]):
        results.add("ours", PLAIN, number, {"delivery_us": ours, "idle_bytes": 2048.0})
        results.add("bare", PLAIN, number, {"delivery_us": bare})
    return results


def test_a_figure_is_the_median_of_the_rounds() -> None:
    assert measured().figure("ours", PLAIN, "delivery_us") == 12.0
    assert measured().figure("ours", TLS, "delivery_us") is None


def test_a_ratio_is_that_of_the_same_round() -> None:
    assert measured().ratio("ours", PLAIN, "bare", "delivery_us") == 2.0
    assert measured().ratio("ours", PLAIN, "bare", "idle_bytes") is None


def test_a_round_that_one_of_both_lacks_has_no_ratio() -> None:
    results = measured()
    results.add("late", PLAIN, 2, {"delivery_us": 5.0})
    assert results.ratio("late", PLAIN, "bare", "delivery_us") == 0.5


def test_what_is_missing_has_its_reason_once() -> None:
    results = measured()
    for _ in range(2):
        results.add_reason("ours", TLS, "3 of 5 handshakes were resumed")
    assert results.as_json()["ours"][TLS] == {"figures": {}, "missing": ["3 of 5 handshakes were resumed"]}
    assert tables(results, ["ours", "bare"], "bare").endswith(
        "Not measured:\n- ours, TLS: 3 of 5 handshakes were resumed"
    )


def test_a_row_is_a_figure_and_a_column_a_server() -> None:
    plain, tls = tables(measured(), ["ours", "bare"], "bare").split("\n\n")
    assert plain.splitlines() == [
        "| plain | ours | bare |",
        "| --- | --- | --- |",
        "| idle, KB | 2.0 | - |",
        "| a delivery, us | 12.0 | 9.0 |",
        "| the same to the bare loop | 2.00 | 1.00 |",
    ]
    assert tls.splitlines()[-1] == "| the same to the bare loop | - | - |"
