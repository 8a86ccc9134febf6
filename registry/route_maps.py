"""Core: the routes of a cluster by session, by user, by file and by incarnation.

A session id belongs to one user, so (sid, incarnation) identifies a route. A million sessions must fit in memory: a
bucket is its only route, and becomes a dict for several; users and incarnations are shared objects. A dict of a million
keys takes 40 ms to grow, in which nobody is served: so large ones are cut into shards, of different sizes, so that they
grow one after the other (docs/scale.md).
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from itertools import chain
from sys import intern
from typing import Generic, TypeVar

from registry import keys
from registry.model import Incarnation, SessionInfo, SessionRoute

FREED = 5_000  # routes freed at once
SHARDS, SLOTS = 64, 8191  # dicts instead of one; slots are a prime, since the low bits of session ids are hardly used
PARTS, PART_SLOTS = 8, 127  # sets of an incarnation's sessions, in the same way

_Bucket = SessionRoute | dict[int, SessionRoute]  # by identity, so that a user of 50,000 sessions costs no search
_Key = TypeVar("_Key", int, str)


def _slots(tables: int, slots: int) -> tuple[int, ...]:
    """The table of each slot; the last table has twice as many slots as the first. Tables that are filled evenly grow
    at the same moment, which takes 100 ms for a million keys; these grow one after the other."""
    weights = [2 ** (number / tables) for number in range(tables)]
    ends = [slots * sum(weights[: number + 1]) / sum(weights) for number in range(tables - 1)]
    return tuple(bisect_right(ends, slot) for slot in range(slots))


_SHARD_OF = _slots(SHARDS, SLOTS)
_PART_OF = _slots(PARTS, PART_SLOTS)


class _Shards(Generic[_Key]):
    """One large dict, as several."""

    __slots__ = ("_slots", "dicts")

    def __init__(self) -> None:
        self.dicts: tuple[dict[_Key, _Bucket], ...] = tuple({} for _ in range(SHARDS))
        self._slots: tuple[dict[_Key, _Bucket], ...] = tuple(self.dicts[number] for number in _SHARD_OF)

    def of(self, key: _Key) -> dict[_Key, _Bucket]:
        """Where the key is, if it is anywhere."""
        return self._slots[hash(key) % SLOTS]

    def __len__(self) -> int:
        return sum(map(len, self.dicts))


class _IncarnationKeys:
    """What one incarnation has registered."""

    __slots__ = ("_slots", "files", "incarnation", "sessions")

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.sessions: tuple[set[int], ...] = tuple(set() for _ in range(PARTS))
        self.files: set[str] = set()
        self._slots = tuple(self.sessions[number] for number in _PART_OF)

    def part_of(self, sid: int) -> set[int]:
        """The set where the session is, if it is anywhere."""
        return self._slots[sid % PART_SLOTS]

    def __bool__(self) -> bool:
        return bool(self.files) or any(self.sessions)


class RouteMaps:
    """What is registered, whether or not its incarnation counts."""

    __slots__ = ("_files", "_owned", "_sessions", "_users")

    def __init__(self) -> None:
        self._sessions = _Shards[int]()
        self._users = _Shards[str]()
        self._files: dict[str, tuple[Incarnation, ...]] = {}
        self._owned: dict[Incarnation, _IncarnationKeys] = {}

    def __len__(self) -> int:
        """The number of session ids with a route."""
        return len(self._sessions)

    def session(self, sid: int) -> Iterable[SessionRoute]:
        """The routes of a session, one for each incarnation that has registered it."""
        return _routes(self._sessions.of(sid).get(sid))

    def user(self, user: str) -> Iterable[SessionRoute]:
        """The routes of all sessions of a user."""
        return _routes(self._users.of(user).get(user))

    def file(self, file: str) -> tuple[Incarnation, ...]:
        """The incarnations that have registered the file."""
        return self._files.get(file, ())

    def incarnations(self) -> Collection[Incarnation]:
        """Those that have registered anything."""
        return self._owned.keys()

    def registered_by(self, incarnation: Incarnation) -> Iterator[tuple[str, int] | str]:
        """What the incarnation has registered: (user, sid) of each session, and files."""
        owned = self._owned.get(incarnation)
        if owned is None:
            return iter(())
        sessions = ((self._user_of(sid, incarnation), sid) for sid in chain(*owned.sessions))
        return chain(sessions, owned.files)

    def put_session(self, key: keys.SessionKey, create_revision: int, info: SessionInfo) -> None:
        """The session's key has this value."""
        info = SessionInfo(intern(info.namespace), intern(info.auth_type), info.connected_at)
        self.delete_session(key)
        owned = self._owned_by(key.incarnation)
        users = self._users.of(key.user)
        user = next((known.user for known in _routes(users.get(key.user))), key.user)
        route = SessionRoute(key.sid, user, owned.incarnation, create_revision, info)
        owned.part_of(route.sid).add(route.sid)
        _add(self._sessions.of(route.sid), route.sid, route)
        _add(users, user, route)

    def delete_session(self, key: keys.SessionKey) -> bool:
        """The session's key is gone; False when it was not there."""
        sessions = self._sessions.of(key.sid)
        routes = _routes(sessions.get(key.sid))
        route = next((r for r in routes if r.incarnation == key.incarnation and r.user == key.user), None)
        if route is None:
            return False
        _remove(sessions, key.sid, route)
        _remove(self._users.of(key.user), key.user, route)
        owned = self._owned[key.incarnation]
        owned.part_of(key.sid).discard(key.sid)
        self._forget_empty(owned)
        return True

    def put_file(self, key: keys.FileKey) -> None:
        """The file's key is there."""
        owned = self._owned_by(key.incarnation)
        if key.file not in owned.files:
            owned.files.add(key.file)
            self._files[key.file] = (*self._files.get(key.file, ()), owned.incarnation)

    def delete_file(self, key: keys.FileKey) -> None:
        """The file's key is gone."""
        owned = self._owned.get(key.incarnation)
        if owned is None or key.file not in owned.files:
            return
        owned.files.discard(key.file)
        rest = tuple(incarnation for incarnation in self._files[key.file] if incarnation != key.incarnation)
        if rest:
            self._files[key.file] = rest
        else:
            del self._files[key.file]
        self._forget_empty(owned)

    def free(self) -> Iterator[None]:
        """Empty the maps, a slice with each step: to free a million routes at once takes half a second."""
        for users in self._users.dicts:
            yield from _free(users, users.popitem)
        for sessions in self._sessions.dicts:
            yield from _free(sessions, sessions.popitem)
        yield from _free(self._files, self._files.popitem)
        for owned in self._owned.values():
            for part in owned.sessions:
                yield from _free(part, part.pop)
        self._owned.clear()

    def _owned_by(self, incarnation: Incarnation) -> _IncarnationKeys:
        owned = self._owned.get(incarnation)
        if owned is None:
            owned = self._owned[incarnation] = _IncarnationKeys(incarnation)
        return owned

    def _forget_empty(self, owned: _IncarnationKeys) -> None:
        if not owned:
            del self._owned[owned.incarnation]

    def _user_of(self, sid: int, incarnation: Incarnation) -> str:
        return next(route.user for route in _routes(self._sessions.of(sid)[sid]) if route.incarnation == incarnation)


def _free(table: Sized, take: Callable[[], object]) -> Iterator[None]:
    while size := len(table):
        for _ in range(min(FREED, size)):
            take()
        yield


def _routes(bucket: _Bucket | None) -> Iterable[SessionRoute]:
    if bucket is None:
        return ()
    return bucket.values() if isinstance(bucket, dict) else (bucket,)


def _add(table: dict[_Key, _Bucket], key: _Key, route: SessionRoute) -> None:
    bucket = table.get(key)
    if bucket is None:
        table[key] = route
    elif isinstance(bucket, dict):
        bucket[id(route)] = route
    else:
        table[key] = {id(bucket): bucket, id(route): route}


def _remove(table: dict[_Key, _Bucket], key: _Key, route: SessionRoute) -> None:
    bucket = table[key]
    if not isinstance(bucket, dict):
        del table[key]
        return
    del bucket[id(route)]
    if len(bucket) == 1:
        table[key] = next(iter(bucket.values()))
