"""Core: the outcome of each push of one series, by its number."""

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Any

from bench.cluster.load import histogram

NOT_SENT, UNREPORTED, MIXED, REFUSED = 0, 1, 254, 255
NAMES = ("ACKED", "WRITTEN", "STORED", "OFFLINE", "DROPPED_SLOW", "EXPIRED", "UNREACHABLE", "DUPLICATE", "QUEUED")
CODES = {name: code for code, name in enumerate(NAMES, start=2)}
DELIVERED = frozenset({"ACKED", "WRITTEN"})
MEANINGS = {
    "lost": "pushes neither reported nor received",
    "undelivered": "pushes reported as WRITTEN or ACKED and not received",
    "unreported": "pushes received, and reported otherwise or not at all",
    "duplicated": "pushes received more than once",
}
"""The counts of `reconcile`."""


class PushOutcomes:
    """A byte per push: not sent, not reported, one outcome, or MIXED (several outcomes of a push to many)."""

    def __init__(self, total: int) -> None:
        self.codes = bytearray(total)
        self.counts: Counter[str] = Counter()  # receivers by outcome
        self.errors: Counter[str] = Counter()  # refused pushes by code
        self.latencies = histogram.empty()  # from due to report
        self.reported = 0

    def on_sent(self, number: int) -> None:
        """Record that the push was sent."""
        self.codes[number] = UNREPORTED

    def on_report(self, number: int, counts: dict[str, int], error: str, latency_us: int) -> None:
        """Record the report of a push."""
        self.reported += 1
        self.latencies[histogram.bucket(latency_us)] += 1
        if error:
            self.errors[error] += 1
            self.codes[number] = REFUSED
            return
        for name, count in counts.items():
            self.counts[name] += count
        self.codes[number] = CODES.get(next(iter(counts)), MIXED) if len(counts) == 1 else MIXED

    def as_dict(self) -> dict[str, Any]:
        """The counts for JSON."""
        return {
            "reported": self.reported,
            "outcomes": dict(self.counts),
            "errors": dict(self.errors),
            "latencies": histogram.trimmed(self.latencies),
        }


def legend(names: Iterable[str]) -> list[str]:
    """A line of words for each name that has a meaning here."""
    present = MEANINGS.keys() & set(names)
    return [f"{name}: {meaning}" for name, meaning in MEANINGS.items() if name in present]


def reconcile(codes: bytes, received: "array[int]") -> dict[str, int]:
    """The counts of MEANINGS, from the reports and what the clients received, for pushes to one session each."""
    delivered_codes = {CODES[name] for name in DELIVERED}
    lost = undelivered = unreported = duplicated = 0
    for number, code in enumerate(codes):
        if code == NOT_SENT:
            continue
        count = received[number] if number < len(received) else 0
        lost += code == UNREPORTED and not count
        undelivered += code in delivered_codes and not count
        unreported += bool(count) and code not in delivered_codes and code != MIXED
        duplicated += count > 1
    return {"lost": lost, "undelivered": undelivered, "unreported": unreported, "duplicated": duplicated}
