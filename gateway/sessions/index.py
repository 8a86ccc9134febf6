"""Core: who is here, by sid, by user and by file.

Most users have one session, which is kept bare; the second one makes a dict, so that a user of many thousands costs no
search. Most sessions have joined few files, kept as a tuple: an empty set costs more. Orders are insertion orders.
"""

from collections.abc import Collection
from typing import Generic, Protocol, TypeVar


class Indexed(Protocol):
    """What the index needs of a session."""

    sid: int
    user: str
    files: tuple[str, ...]


S = TypeVar("S", bound=Indexed)


class Index(Generic[S]):
    """The sessions of one node. Nothing here waits, and nothing is written to the registry here."""

    def __init__(self) -> None:
        self.sessions: dict[int, S] = {}
        self._users: dict[str, S | dict[S, None]] = {}
        self._files: dict[str, dict[S, None]] = {}

    def add(self, session: S) -> None:
        """A new session; its files are joined one by one with `join`."""
        self.sessions[session.sid] = session
        others = self._users.get(session.user)
        if others is None:
            self._users[session.user] = session
        elif isinstance(others, dict):
            others[session] = None
        else:
            self._users[session.user] = {others: None, session: None}

    def remove(self, session: S) -> list[str]:
        """Forget a session; the answer names the files that nobody here has joined any more."""
        if self.sessions.pop(session.sid, None) is None:
            return []
        others = self._users[session.user]
        if isinstance(others, dict) and len(others) > 1:
            del others[session]
        else:
            del self._users[session.user]
        return [file for file in session.files if self.leave(session, file)]

    def join(self, session: S, file: str) -> bool:
        """Add a session to a file; True when it is the first one here."""
        joined = self._files.get(file)
        first = joined is None
        if joined is None:
            joined = self._files[file] = {}
        if session not in joined:
            joined[session] = None
            session.files = (*session.files, file)
        return first

    def leave(self, session: S, file: str) -> bool:
        """Take a session out of a file; True when it was the last one here."""
        joined = self._files.get(file)
        if joined is None or session not in joined:
            return False
        del joined[session]
        session.files = tuple(other for other in session.files if other != file)
        if joined:
            return False
        del self._files[file]
        return True

    def user(self, user: str) -> Collection[S]:
        """The user's sessions here."""
        sessions = self._users.get(user, ())
        return sessions if isinstance(sessions, dict | tuple) else (sessions,)

    def file(self, file: str) -> Collection[S]:
        """The sessions here that have joined the file."""
        return self._files.get(file, ())

    def files(self) -> Collection[str]:
        """Every file that somebody here has joined."""
        return self._files.keys()
