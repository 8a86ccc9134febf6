"""Core: latencies counted in buckets that grow with the value, so that a million of them cost some hundred numbers.

Log-linear: 32 buckets an octave, so a value is told within 3 %. Values are microseconds. A histogram is a plain list of
counts: lists of several processes are added element by element.
"""

import math

SUB = 32  # buckets an octave, a power of two
_BITS = SUB.bit_length() - 1
TOP = (1 << 36) - 1  # microseconds, 19 hours: what is longer counts there
SIZE = (36 - _BITS) * SUB + SUB


def bucket(value: int) -> int:
    """Where a value counts."""
    if value < SUB:
        return value if value > 0 else 0
    if value > TOP:
        value = TOP
    shift = value.bit_length() - 1 - _BITS
    return shift * SUB + (value >> shift)


def middle(index: int) -> float:
    """The value in the middle of a bucket, microseconds."""
    if index < 2 * SUB:
        return float(index)
    shift = index // SUB - 1
    low = (index - shift * SUB) << shift
    return low + ((1 << shift) - 1) / 2


def empty() -> list[int]:
    """A histogram of nothing."""
    return [0] * SIZE


def trimmed(counts: list[int]) -> list[int]:
    """Without the empty buckets at the end, to be sent."""
    end = len(counts)
    while end and not counts[end - 1]:
        end -= 1
    return counts[:end]


def add(to: list[int], more: list[int]) -> None:
    """Count `more` into `to`, which is as long at least."""
    for index, count in enumerate(more):
        to[index] += count


def quantile(counts: list[int], share: float) -> float:
    """The value below which this share of all values lies, in milliseconds; nan for nothing."""
    rank = sum(counts) * share
    seen = 0
    for index, count in enumerate(counts):
        seen += count
        if count and seen >= rank:
            return round(middle(index) / 1000, 3)
    return math.nan


def quantiles(counts: list[int]) -> dict[str, float]:
    """p50 and p99 in ms."""
    return {"p50_ms": quantile(counts, 0.5), "p99_ms": quantile(counts, 0.99)}
