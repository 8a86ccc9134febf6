"""Core: how long a message was under way, without a common clock (docs/design.md, "Order, healing, deadlines, dedup").

Sender and receiver have clocks with an unknown offset. The fastest message ever seen fixes the best guess of it: what a
later one took beyond that was spent waiting in a buffer. Clocks drift, so the guess is the best of the current and the
previous minute.
"""

WINDOW_NS = 60_000_000_000


class Transit:
    """One direction of one stream. All times are ns on the two monotonic clocks."""

    __slots__ = ("_best", "_previous", "_since")

    def __init__(self) -> None:
        self._best: int | None = None
        self._previous: int | None = None
        self._since = 0

    def seen(self, sent_ns: int, now_ns: int) -> None:
        """A message that was written at `sent_ns` there has arrived at `now_ns` here."""
        offset = now_ns - sent_ns
        if self._best is None or now_ns - self._since > WINDOW_NS:
            self._previous, self._best, self._since = self._best, offset, now_ns
        elif offset < self._best:
            self._best = offset

    def age(self, then_ns: int, now_ns: int) -> int:
        """How long ago, at `now_ns` here, the moment `then_ns` there was; never negative. Needs one `seen` before."""
        best = self._best if self._best is not None else now_ns - then_ns
        if self._previous is not None:
            best = min(best, self._previous)
        return max(0, now_ns - then_ns - best)
