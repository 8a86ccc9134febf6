"""Core: what the clients of one worker received: each push by its number, its latency, and the acks sent for it.

A push's data has `"k":KIND,"n":NUMBER,"due":MICROSECONDS`: its series, its number in the series, and the time at which
it was due on the machine's monotonic clock. Several clients may receive one number: a push to a file.
"""

import re
from array import array
from collections import Counter

from bench.cluster.load import histogram
from bench.cluster.load.client_frames import TEXT, masked_frame

KINDS = 4  # concurrent series of pushes
_find = re.compile(rb'"k":(\d),"n":(\d+),"due":(\d+)').search
_find_ack = re.compile(rb'"ack":(\d+)').search


def data(kind: int, number: int, due_us: int, size: int) -> bytes:
    """A push's data: JSON of `size` bytes, or longer when `size` is too short for the fields."""
    body = b'{"k":%d,"n":%d,"due":%d,"pad":"' % (kind, number, due_us)
    return body + b"x" * (size - len(body) - 2) + b'"}'


class Tally:
    """The counts of one client worker."""

    def __init__(self) -> None:
        self.received = [array("I") for _ in range(KINDS)]  # by number: how many clients received the push
        self.latencies = [histogram.empty() for _ in range(KINDS)]
        self.connects = histogram.empty()
        self.pushes = self.acks = self.pings = self.connected = self.lost = 0
        self.resumed = 0  # TLS handshakes that resumed a session
        self.unexpected = 0  # messages that are no push
        self.refused: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()

    def on_message(self, opcode: int, payload: bytes, now_us: int) -> bytes:
        """Count a text or binary message. Returns the frame to send in response: an ack, or b""."""
        found = _find(payload)
        if found is None:
            self.unexpected += 1
            return b""
        kind, number, due = map(int, found.groups())
        received = self.received[kind]
        if number >= len(received):
            received.extend([0] * (number + 1024 - len(received)))
        received[number] += 1
        self.pushes += 1
        self.latencies[kind][histogram.bucket(now_us - due)] += 1
        # The key "ack" may precede or follow the data; the data itself has no such key.
        ack = _find_ack(payload) if opcode == TEXT else None
        if ack is None:
            return b""
        self.acks += 1
        return masked_frame(TEXT, b'{"type":"ack","ack":%b}' % ack[1])

    def on_connected(self, seconds: float) -> None:
        """Count a connected client, `seconds` after its connect was due."""
        self.connected += 1
        self.connects[histogram.bucket(int(seconds * 1e6))] += 1

    def reset_latencies(self) -> None:
        """Empty the histograms; the counters stay."""
        self.latencies = [histogram.empty() for _ in range(KINDS)]
        self.connects = histogram.empty()

    def as_dict(self) -> dict[str, object]:
        """The counts for JSON, without the arrays by number."""
        return {
            "pushes": self.pushes,
            "acks": self.acks,
            "pings": self.pings,
            "connected": self.connected,
            "lost": self.lost,
            "resumed": self.resumed,
            "unexpected": self.unexpected,
            "refused": dict(self.refused),
            "closes": dict(self.closes),
            "connects": histogram.trimmed(self.connects),
            "latencies": [histogram.trimmed(counts) for counts in self.latencies],
        }
