"""The log-linear histogram: precision, order, addition."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bench.cluster.load import histogram


@given(st.integers(0, histogram.MAX_VALUE))
def test_a_bucket_is_precise_to_3_percent(value):
    midpoint = histogram.midpoint(histogram.bucket(value))
    assert abs(midpoint - value) <= max(0.5, value * 0.032)


@given(st.integers(0, histogram.MAX_VALUE), st.integers(0, histogram.MAX_VALUE))
def test_buckets_keep_the_order(left, right):
    low, high = sorted((left, right))
    assert histogram.bucket(low) <= histogram.bucket(high) < histogram.SIZE


def test_negative_and_too_large_values_count_at_the_ends():
    assert histogram.bucket(-5) == 0
    assert histogram.bucket(1 << 60) == histogram.bucket(histogram.MAX_VALUE) == histogram.SIZE - 1


def test_every_midpoint_is_in_its_bucket():
    assert [histogram.bucket(int(histogram.midpoint(index))) for index in range(histogram.SIZE)] == list(
        range(histogram.SIZE)
    )


def test_quantiles_in_milliseconds():
    counts = histogram.empty()
    for _ in range(98):
        counts[histogram.bucket(10)] += 1
    for _ in range(2):
        counts[histogram.bucket(20)] += 1
    assert histogram.quantiles(counts) == {"p50_ms": 0.01, "p99_ms": 0.02}


def test_an_empty_histogram_has_no_quantile():
    assert math.isnan(histogram.quantile(histogram.empty(), 0.5))


def test_histograms_are_trimmed_and_added():
    left, right = histogram.empty(), histogram.empty()
    left[3] = right[3] = 1
    right[40] = 2
    assert len(histogram.trimmed(left)) == 4
    assert histogram.trimmed(histogram.empty()) == []
    histogram.add(left, histogram.trimmed(right))
    assert (left[3], left[40], sum(left)) == (2, 2, 4)
