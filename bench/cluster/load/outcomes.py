"""Core: what has become of each push of one series, by its number."""

from array import array
from collections import Counter
from typing import Any

from bench.cluster.load import histogram

NOT_SENT, UNREPORTED, MIXED, REFUSED = 0, 1, 254, 255
NAMES = ("ACKED", "WRITTEN", "STORED", "OFFLINE", "DROPPED_SLOW", "EXPIRED", "UNREACHABLE", "DUPLICATE", "QUEUED")
CODES = {name: code for code, name in enumerate(NAMES, start=2)}
REACHED = frozenset({"ACKED", "WRITTEN"})


class Outcomes:
    """A byte a push: not sent yet, no report yet, its outcome, or several (a push to many)."""

    def __init__(self, number: int) -> None:
        self.codes = bytearray(number)
        self.counts: Counter[str] = Counter()  # receivers by outcome
        self.errors: Counter[str] = Counter()  # refused pushes by code
        self.latencies = histogram.empty()  # from due to report
        self.reported = 0

    def sent(self, number: int) -> None:
        """It has left."""
        self.codes[number] = UNREPORTED

    def report(self, number: int, counts: dict[str, int], error: str, late_us: int) -> None:
        """Its report is here."""
        self.reported += 1
        self.latencies[histogram.bucket(late_us)] += 1
        if error:
            self.errors[error] += 1
            self.codes[number] = REFUSED
            return
        for name, count in counts.items():
            self.counts[name] += count
        self.codes[number] = CODES.get(next(iter(counts)), MIXED) if len(counts) == 1 else MIXED

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "reported": self.reported,
            "outcomes": dict(self.counts),
            "errors": dict(self.errors),
            "latencies": histogram.trimmed(self.latencies),
        }


def compare(codes: bytes, received: "array[int]") -> dict[str, int]:
    """What the caller was told beside what the clients have heard, for pushes to one session each.

    lost: neither reported nor received. vanished: reported as written or acked, and not received. untold: received, and
    reported as something else or not at all. twice: received more than once.
    """
    reached = {CODES[name] for name in REACHED}
    lost = vanished = untold = twice = 0
    for number, code in enumerate(codes):
        if code == NOT_SENT:
            continue
        got = received[number] if number < len(received) else 0
        lost += code == UNREPORTED and not got
        vanished += code in reached and not got
        untold += bool(got) and code not in reached and code != MIXED
        twice += got > 1
    return {"lost": lost, "vanished": vanished, "untold": untold, "twice": twice}
