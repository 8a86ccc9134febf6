"""Core: what a crowd of clients has heard: every push by its number, how late it was, and the ack that it asked for.

A push's data says `"k":KIND,"n":NUMBER,"due":MICROSECONDS`: which series it belongs to, which one of it, and when on
the machine's monotonic clock it was meant to be sent. Several clients may hear one number: a push to a file.
"""

import re
from array import array
from collections import Counter

from bench.cluster.load import histogram
from bench.cluster.load.clientframes import TEXT, masked

KINDS = 4  # series of pushes at once
_find = re.compile(rb'"k":(\d),"n":(\d+),"due":(\d+)').search
_find_ack = re.compile(rb'"ack":(\d+)').search


def data(kind: int, number: int, due_us: int, size: int) -> bytes:
    """A push's data: JSON of `size` bytes, or more when that is too few."""
    body = b'{"k":%d,"n":%d,"due":%d,"pad":"' % (kind, number, due_us)
    return body + b"x" * (size - len(body) - 2) + b'"}'


class Tally:
    """The counts of one crowd process."""

    def __init__(self) -> None:
        self.got = [array("I") for _ in range(KINDS)]  # by number: how many clients heard it
        self.latencies = [histogram.empty() for _ in range(KINDS)]
        self.connects = histogram.empty()
        self.pushes = self.acks = self.pings = self.connected = self.lost = self.strange = 0
        self.refused: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()

    def message(self, opcode: int, payload: bytes, now_us: int) -> bytes:
        """A text or binary message. The answer is what must be sent: an ack frame, or nothing."""
        found = _find(payload)
        if found is None:
            self.strange += 1
            return b""
        kind, number, due = map(int, found.groups())
        got = self.got[kind]
        if number >= len(got):
            got.extend([0] * (number + 1024 - len(got)))
        got[number] += 1
        self.pushes += 1
        self.latencies[kind][histogram.bucket(now_us - due)] += 1
        # The ack's number may stand on either side of the data, which has no such key.
        ack = _find_ack(payload) if opcode == TEXT else None
        if ack is None:
            return b""
        self.acks += 1
        return masked(TEXT, b'{"type":"ack","ack":%b}' % ack[1])

    def hello(self, seconds: float) -> None:
        """A client is connected, so long after it was meant to begin."""
        self.connected += 1
        self.connects[histogram.bucket(int(seconds * 1e6))] += 1

    def forget_latencies(self) -> None:
        """From now on, anew."""
        self.latencies = [histogram.empty() for _ in range(KINDS)]
        self.connects = histogram.empty()

    def told(self) -> dict[str, object]:
        """All but the numbers, as JSON has it."""
        return {
            "pushes": self.pushes,
            "acks": self.acks,
            "pings": self.pings,
            "connected": self.connected,
            "lost": self.lost,
            "strange": self.strange,
            "refused": dict(self.refused),
            "closes": dict(self.closes),
            "connects": histogram.trimmed(self.connects),
            "latencies": [histogram.trimmed(counts) for counts in self.latencies],
        }
