"""Core: latency histograms with buckets that grow with the value, so a million latencies need some hundred numbers.

Log-linear: 32 buckets an octave, a relative error of at most 3 %. Values are microseconds. A histogram is a plain list
of counts, so the histograms of several processes are added element by element.
"""

import math

BUCKETS_PER_OCTAVE = 32  # a power of two
_BITS = BUCKETS_PER_OCTAVE.bit_length() - 1
MAX_VALUE = (1 << 36) - 1  # microseconds, 19 hours; longer values count here
SIZE = (36 - _BITS) * BUCKETS_PER_OCTAVE + BUCKETS_PER_OCTAVE


def bucket(value: int) -> int:
    """The index of the value's bucket."""
    if value < BUCKETS_PER_OCTAVE:
        return value if value > 0 else 0
    if value > MAX_VALUE:
        value = MAX_VALUE
    shift = value.bit_length() - 1 - _BITS
    return shift * BUCKETS_PER_OCTAVE + (value >> shift)


def midpoint(index: int) -> float:
    """The value in the middle of a bucket, microseconds."""
    if index < 2 * BUCKETS_PER_OCTAVE:
        return float(index)
    shift = index // BUCKETS_PER_OCTAVE - 1
    low = (index - shift * BUCKETS_PER_OCTAVE) << shift
    return low + ((1 << shift) - 1) / 2


def empty() -> list[int]:
    """A histogram without values."""
    return [0] * SIZE


def trimmed(counts: list[int]) -> list[int]:
    """The histogram without its trailing empty buckets, for sending."""
    end = len(counts)
    while end and not counts[end - 1]:
        end -= 1
    return counts[:end]


def add(total: list[int], counts: list[int]) -> None:
    """Add `counts` to `total` in place. `total` is at least as long."""
    for index, count in enumerate(counts):
        total[index] += count


def quantile(counts: list[int], share: float) -> float:
    """The quantile at `share` (0 to 1), in milliseconds; nan for an empty histogram."""
    rank = sum(counts) * share
    seen = 0
    for index, count in enumerate(counts):
        seen += count
        if count and seen >= rank:
            return round(midpoint(index) / 1000, 3)
    return math.nan


def quantiles(counts: list[int]) -> dict[str, float]:
    """p50 and p99, in milliseconds."""
    return {"p50_ms": quantile(counts, 0.5), "p99_ms": quantile(counts, 0.99)}
