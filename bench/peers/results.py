"""Core: the figures of all rounds, by server and transport: medians, and ratios to the bare loop of the same run."""

from collections.abc import Mapping
from statistics import median
from typing import Any

PLAIN, TLS = "plain", "tls"
TRANSPORTS = (PLAIN, TLS)


class PeerResults:
    """What was measured, and why what is missing could not be."""

    def __init__(self) -> None:
        self.samples: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
        self.reasons: dict[tuple[str, str], list[str]] = {}

    def add(self, server: str, transport: str, number: int, figures: Mapping[str, float]) -> None:
        """Figures of the round with this number."""
        samples = self.samples.setdefault((server, transport), {})
        for name, value in figures.items():
            samples.setdefault(name, {})[number] = value

    def add_reason(self, server: str, transport: str, reason: str) -> None:
        """Why something is missing; a reason that repeats is kept once."""
        reasons = self.reasons.setdefault((server, transport), [])
        if reason not in reasons:
            reasons.append(reason)

    def figure(self, server: str, transport: str, name: str) -> float | None:
        """The median of the rounds; None: not measured."""
        samples = self.samples.get((server, transport), {}).get(name)
        return median(samples.values()) if samples else None

    def ratio(self, server: str, transport: str, baseline: str, name: str) -> float | None:
        """The median of the ratios to the baseline in the same round; None: there is no round that has both."""
        ours = self.samples.get((server, transport), {}).get(name, {})
        theirs = self.samples.get((baseline, transport), {}).get(name, {})
        ratios = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys()]
        return median(ratios) if ratios else None

    def as_json(self) -> dict[str, Any]:
        """Every round's figures and the reasons, by server and transport."""
        found: dict[str, Any] = {}
        for server, transport in dict.fromkeys([*self.samples, *self.reasons]):
            key = server, transport
            found.setdefault(server, {})[transport] = {
                "figures": {name: list(values.values()) for name, values in self.samples.get(key, {}).items()},
                "missing": self.reasons.get(key, []),
            }
        return found
