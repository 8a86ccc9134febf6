"""What an experiment is, and what became of it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from bench.faults.checker import Recording
from bench.faults.world import World

Facts = dict[str, float]
"""What an experiment itself has measured; times are seconds of the monotonic clock."""


class Criterion(NamedTuple):
    """One condition of an experiment, with its figure."""

    text: str
    ok: bool
    excess: float = (
        0.0  # seconds by which a limit of time was exceeded: a stalled machine explains no more than it took
    )


class Experiment(NamedTuple):
    """One fault experiment of docs/promises.md."""

    number: str  # of its row there, with a letter for a variant
    name: str
    action: str  # what is done, for the table
    inject: Callable[[World], Awaitable[Facts]]
    judge: Callable[[Recording, Facts], Iterable[Criterion]]
    proxied: bool = False
    tls: bool = False  # in any case
    unreported: bool = False  # calls may end without a report
    remark: str = ""


class ExperimentResult(NamedTuple):
    """What became of an experiment. `verdict`: pass, limit (of the machine), fail."""

    number: str
    name: str
    action: str
    verdict: str
    criteria: list[Criterion]
    violations: list[str]
    pushes: int
    receipts: int
    stall: float  # seconds, the longest of the suite's own event loop
    seconds: float
    remark: str = ""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return self._asdict() | {"criteria": [{"text": one.text, "ok": one.ok} for one in self.criteria]}


def verdict(criteria: Iterable[Criterion], violations: int, stall: float) -> str:
    """`limit`: only limits of time were missed, each by no more than the machine was seen to stall."""
    failed = [one for one in criteria if not one.ok]
    if violations or any(not one.excess or one.excess > stall for one in failed):
        return "fail"
    return "limit" if failed else "pass"


def within(text: str, seconds: float, limit: float) -> Criterion:
    """A limit of time, with what was measured."""
    shown = "never" if seconds == float("inf") else f"{seconds:.2f} s"
    return Criterion(f"{text}: {shown} (limit {limit:g} s)", seconds <= limit, max(0.0, seconds - limit))
