"""Log-linear counting: within 3 %, in order, added by element."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bench.cluster.load import histogram


@given(st.integers(0, histogram.TOP))
def test_a_value_is_told_within_3_percent(value):
    told = histogram.middle(histogram.bucket(value))
    assert abs(told - value) <= max(0.5, value * 0.032)


@given(st.integers(0, histogram.TOP), st.integers(0, histogram.TOP))
def test_buckets_keep_the_order(left, right):
    low, high = sorted((left, right))
    assert histogram.bucket(low) <= histogram.bucket(high) < histogram.SIZE


def test_what_is_negative_or_too_large_counts_at_the_ends():
    assert histogram.bucket(-5) == 0
    assert histogram.bucket(1 << 60) == histogram.bucket(histogram.TOP) == histogram.SIZE - 1


def test_every_bucket_is_reached_by_its_own_middle():
    assert [histogram.bucket(int(histogram.middle(index))) for index in range(histogram.SIZE)] == list(
        range(histogram.SIZE)
    )


def test_quantiles_in_milliseconds():
    counts = histogram.empty()
    for _ in range(98):
        counts[histogram.bucket(10)] += 1
    for _ in range(2):
        counts[histogram.bucket(20)] += 1
    assert histogram.quantiles(counts) == {"p50_ms": 0.01, "p99_ms": 0.02}


def test_nothing_has_no_quantile():
    assert math.isnan(histogram.quantile(histogram.empty(), 0.5))


def test_several_processes_are_added_and_travel_short():
    left, right = histogram.empty(), histogram.empty()
    left[3] = right[3] = 1
    right[40] = 2
    assert len(histogram.trimmed(left)) == 4
    assert histogram.trimmed(histogram.empty()) == []
    histogram.add(left, histogram.trimmed(right))
    assert (left[3], left[40], sum(left)) == (2, 2, 4)
