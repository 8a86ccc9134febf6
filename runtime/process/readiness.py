"""Core: whether a service takes traffic, and what it lacks."""

from collections.abc import Sequence
from typing import NamedTuple


class Readiness(NamedTuple):
    """The answer of `/readyz`, in words for an operator (docs/design.md, "Ready")."""

    missing: Sequence[str] = ()  # what the service needs and lacks: it takes no traffic
    degraded: Sequence[str] = ()  # what it lacks and goes on without

    @property
    def ready(self) -> bool:
        """Whether traffic may come."""
        return not self.missing

    def as_json(self) -> dict[str, object]:
        """The body of the answer."""
        return {"ready": self.ready, "why": "; ".join(self.missing), "degraded": list(self.degraded)}


def named(*reasons: str) -> list[str]:
    """Those that are not ""."""
    return [reason for reason in reasons if reason]
