"""Core: which views are to be written next. Time is an argument, in seconds.

A session stands in line at most once, as it will be when its turn comes: many changes in a row are one write. What has
left stands in a line of its own, bounded, because nothing else remembers it. One batch is under way at a time.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from gateway.sessions.session import Session
from gateway.sessions.stage import Stage

Files = tuple[str, ...]


class Shown(NamedTuple):
    """One session as its view is to be written. `left`: files that may still show it and must not."""

    session: Session
    files: Files
    left: Files
    gone: bool


class Seen(NamedTuple):
    """What its view holds, and until when it need not be written again."""

    files: Files
    until: float


class Due:
    """What has to be written. Lives on the loop."""

    def __init__(self, refresh: float, held: int) -> None:
        self._refresh = refresh
        self._held = held
        self._changed: dict[Session, None] = {}  # in the order in which they changed
        self._gone: dict[Session, Files] = {}  # and the files that may show them
        self._seen: dict[Session, Seen] = {}  # in the order in which they were written

    def changed(self, session: Session) -> None:
        """Its view is not what the session is."""
        if session.stage is not Stage.CLOSED:
            self._changed[session] = None

    def gone(self, session: Session) -> bool:
        """Its view must go. False: too many wait for that already, so it will expire by itself."""
        self._changed.pop(session, None)
        seen = self._seen.pop(session, None)
        return seen is None or self._must_go(session, seen.files)

    def rewrite(self) -> None:
        """Nothing that was written may be there any more: all of it is due."""
        self._seen = {session: Seen(seen.files, 0.0) for session, seen in self._seen.items()}

    def take(self, number: int, now: float) -> list[Shown]:
        """At most so many: those that have left, those that have changed, those not written for too long."""
        for session in self._stale(number, now):
            self._changed.setdefault(session)
        ends = list(islice(self._gone.items(), number))
        for session, _ in ends:
            del self._gone[session]
        fresh = list(islice(self._changed, number - len(ends)))
        for session in fresh:
            del self._changed[session]
        return [Shown(session, (), files, True) for session, files in ends] + [self._show(one) for one in fresh]

    def written(self, taken: Iterable[Shown], now: float) -> None:
        """These stand as they were taken."""
        for one in taken:
            if one.gone:
                continue
            if one.session.stage is Stage.CLOSED:
                self._must_go(one.session, one.files)  # it left meanwhile
            else:
                self._seen.pop(one.session, None)
                self._seen[one.session] = Seen(one.files, now + self._refresh)

    def failed(self, taken: Iterable[Shown]) -> None:
        """These may or may not have been written."""
        for one in taken:
            maybe = (*one.files, *one.left)
            if one.session.stage is Stage.CLOSED:
                self._must_go(one.session, maybe)
            else:
                self._seen.pop(one.session, None)
                self._seen[one.session] = Seen(maybe, 0.0)
                self._changed.setdefault(one.session)

    def _must_go(self, session: Session, files: Files) -> bool:
        known = self._gone.get(session)
        if known is None and len(self._gone) >= self._held:
            return False
        self._gone[session] = tuple(dict.fromkeys((*(known or ()), *files)))
        return True

    def _stale(self, number: int, now: float) -> Iterator[Session]:
        for session, seen in islice(self._seen.items(), number):
            if seen.until > now:
                return
            yield session

    def _show(self, session: Session) -> Shown:
        files, seen = session.files, self._seen.get(session)
        left = tuple(file for file in seen.files if file not in files) if seen is not None else ()
        return Shown(session, files, left, False)
