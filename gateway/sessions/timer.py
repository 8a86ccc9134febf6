"""Shell: one loop timer that drives a wheel."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from gateway.sessions.wheel import Wheel

T = TypeVar("T", bound=Hashable)


class Clock(Protocol):
    """What a timer needs of the event loop."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Callable[..., Any]) -> asyncio.TimerHandle: ...


class Timer(Generic[T]):
    """Schedules items on a wheel and calls `fire(item, now)` for each that is due. Time is the loop's."""

    def __init__(self, width: float, fire: Callable[[T, float], None], loop: Clock) -> None:
        self._loop = loop
        self._wheel = Wheel[T](width)
        self._fire = fire
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0  # when the handle fires; uvloop's own cannot be asked: what is due at once has no `when`

    def schedule(self, item: T, at: float) -> int:
        """Make `item` due at loop time `at`; the answer is its ticket for `cancel`."""
        ticket = self._wheel.schedule(item, at)
        due = self._wheel.next_due()
        if due is not None and (self._handle is None or due < self._due):
            self._arm(due)
        return ticket

    def schedule_after(self, item: T, seconds: float) -> int:
        """Make `item` due so many seconds from now; the answer is its ticket for `cancel`."""
        return self.schedule(item, self._loop.time() + seconds)

    def cancel(self, item: T, ticket: int) -> None:
        """Forget it; one that has fired already is no error."""
        self._wheel.cancel(item, ticket)

    def close(self) -> None:
        """Fire nothing any more."""
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self, due: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._due = due
        self._handle = self._loop.call_at(due, self._fire_due)

    def _fire_due(self) -> None:
        self._handle = None
        now = self._loop.time()
        for item in self._wheel.due(now):
            self._fire(item, now)
        due = self._wheel.next_due()
        if due is not None and self._handle is None:
            self._arm(due)


Deadlines = Timer[Callable[[float], None]]
"""One wheel for all deadlines of a process: each item is called with the time when it is due."""


def make_deadlines(loop: Clock, width: float = 0.1) -> Deadlines:
    """`width`: seconds; how late a deadline may be."""
    return Deadlines(width, lambda deadline, now: deadline(now), loop)
