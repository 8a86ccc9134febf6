"""Core: the reports that the caller of one connection has not read yet, in all of its PushStreams together."""

from collections.abc import Callable
from typing import Final

MAX_BYTES: Final = 16 * 1024 * 1024
REPORT_BYTES: Final = 1024  # that a report takes in memory beside its encoded size


class UnreadReports:
    """Their bytes, and which streams wait for room."""

    __slots__ = ("_bytes", "_waiting")

    def __init__(self) -> None:
        self._bytes = 0
        self._waiting: dict[Callable[[], None], None] = {}

    @property
    def has_room(self) -> bool:
        """Whether more pushes may be read."""
        return self._bytes < MAX_BYTES

    def add(self, size: int) -> None:
        """A report waits. `size`: bytes, encoded."""
        self._bytes += REPORT_BYTES + size

    def remove(self, count: int, size: int) -> None:
        """`count` reports of `size` bytes together wait no more: who waits for room is called when there is some."""
        self._bytes -= count * REPORT_BYTES + size
        if self._waiting and self.has_room:
            waiting, self._waiting = self._waiting, {}
            for resume in waiting:
                resume()

    def wait_for_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, when there is room."""
        self._waiting[resume] = None

    def forget(self, resume: Callable[[], None]) -> None:
        """Do not call `resume`."""
        self._waiting.pop(resume, None)
