"""Core: the route table. Everything registered, as one router sees it, folded from a snapshot and a watch.

What is held, and what follows from it:

* a session's records, one per incarnation that has registered it. Usually one; two while a session moves between
  nodes. The newest by create-revision whose incarnation counts is the route (design §4);
* a file's incarnations;
* per incarnation, what it has registered, so that its end or its sweeping never walks the whole table.

The end of an incarnation changes none of this: its routes stop *counting*, which is asked at each lookup, and its keys
leave the table when somebody deletes them from the store. So one watch event ends 100,000 routes at no cost, and the
table always equals the store at `revision`.

A session id belongs to one user, so (sid, incarnation) names a record. Half a million sessions should fit: a bucket
holds its only record bare and becomes a dict when it has several; users and incarnations are shared objects.
"""

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from sys import intern
from typing import TypeVar

import msgspec

from registry import keys
from registry.model import Incarnation, Node, SessionInfo, SessionRoute
from registry.nodes import Nodes, TableChange
from registry.store import Changes, Entry, Snapshot

__all__ = ["RouteTable", "TableChange"]

_decode = msgspec.json.Decoder(SessionInfo).decode
_Bucket = SessionRoute | dict[int, SessionRoute]  # by identity, so that a user of 50,000 sessions costs no search
_Key = TypeVar("_Key", int, str)


class _IncarnationKeys:
    """What one incarnation has registered."""

    __slots__ = ("files", "incarnation", "sessions")

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.sessions: set[int] = set()
        self.files: set[str] = set()


class RouteTable:
    """Every route of one cluster, at one revision of the store."""

    def __init__(self, cluster: str = "homing") -> None:
        self.revision = 0
        self._keys = keys.Keys(cluster)
        self._skip = len(self._keys.prefix)
        self._nodes = Nodes()
        self._clear()

    def _clear(self) -> None:
        self._sessions: dict[int, _Bucket] = {}
        self._users: dict[str, _Bucket] = {}
        self._files: dict[str, tuple[Incarnation, ...]] = {}
        self._owned: dict[Incarnation, _IncarnationKeys] = {}

    # Lookups

    def session(self, sid: int) -> SessionRoute | None:
        """The session's route: the newest record whose incarnation counts. None is a miss, not yet an OFFLINE."""
        return self._newest(_records(self._sessions.get(sid)))

    def user(self, user: str) -> list[SessionRoute]:
        """The routes of all sessions of the user, one a session."""
        routes: dict[int, SessionRoute] = {}
        for record in _records(self._users.get(user)):
            known = routes.get(record.sid)
            if (known is None or record.created > known.created) and self._nodes.counts(record.incarnation):
                routes[record.sid] = record
        return list(routes.values())

    def file(self, file: str) -> list[Incarnation]:
        """The incarnations that own the file and count."""
        return [incarnation for incarnation in self._files.get(file, ()) if self._nodes.counts(incarnation)]

    def incarnations(self) -> Mapping[Incarnation, Node]:
        """All nodes whose key stands, by their incarnation. A view: do not keep it over a fold."""
        return self._nodes.present

    def present(self, incarnation: Incarnation) -> bool:
        """Whether the node's key stands with this epoch."""
        return incarnation in self._nodes.present

    def lingering(self) -> list[Incarnation]:
        """Lives whose node key is gone and that nobody has ended yet: their routes count."""
        return list(self._nodes.lingering)

    def batch(self, incarnation: Incarnation) -> int:
        """The newest batch number of this incarnation that the table holds; 0 when it is not present."""
        return self._nodes.number(incarnation)

    def __len__(self) -> int:
        """How many session ids have a record, whether or not its incarnation counts."""
        return len(self._sessions)

    # Lives that are over

    def end(self, incarnation: Incarnation) -> None:
        """A lingering incarnation's stream is down or silent too: its routes stop counting. Else a no-op."""
        self._nodes.lingering.discard(incarnation)

    def over(self) -> list[Incarnation]:
        """Lives that are neither present nor lingering, and still have keys: the sweeper's work."""
        return [incarnation for incarnation in self._owned if not self._nodes.counts(incarnation)]

    def keys_of(self, incarnation: Incarnation, limit: int) -> list[str]:
        """At most `limit` keys that the incarnation has registered and that still stand."""
        owned = self._owned.get(incarnation)
        if owned is None:
            return []
        sessions = (self._keys.session(self._user_of(sid, incarnation), sid, incarnation) for sid in owned.sessions)
        files = (self._keys.file(file, incarnation) for file in owned.files)
        return list(islice(chain(sessions, files), limit))

    # Folding

    def fold(self, changes: Changes) -> TableChange:
        """Apply what a watch told, in its order."""
        for entry, deleted in changes.changes:
            key = keys.parse(entry.key, self._skip)
            match key:
                case keys.SessionKey():
                    self._drop_session(key) if deleted else self._put_session(key, entry)
                case keys.FileKey():
                    self._drop_file(key) if deleted else self._put_file(key)
                case keys.NodeKey(name):
                    if deleted:
                        self._nodes.drop_node(name)
                    else:
                        self._nodes.put_node(name, entry.create_revision, entry.value)
                case keys.BatchKey(name):
                    self._nodes.drop_batch(name) if deleted else self._nodes.put_batch(name, entry.value)
        self.revision = changes.revision
        return self._nodes.settle()

    def replace(self, reading: Snapshot) -> TableChange:
        """Take a fresh snapshot for the truth; what changed about nodes is told as if it had been watched."""
        self._clear()
        nodes, batches = [], {}
        for entry in reading.entries:
            key = keys.parse(entry.key, self._skip)
            match key:
                case keys.SessionKey():
                    self._put_session(key, entry)
                case keys.FileKey():
                    self._put_file(key)
                case keys.NodeKey(name):
                    nodes.append((name, entry.create_revision, entry.value))
                case keys.BatchKey(name):
                    batches[name] = entry.value
        self._nodes.replace(nodes, batches)
        self.revision = reading.revision
        return self._nodes.settle()

    # Records

    def _put_session(self, key: keys.SessionKey, entry: Entry) -> None:
        try:
            info = _decode(entry.value)
        except msgspec.MsgspecError:
            self._nodes.malformed += 1
            return
        info = SessionInfo(intern(info.namespace), intern(info.auth_type), info.connected_at)
        self._drop_session(key)
        owned = self._owned_by(key.incarnation)
        user = next((known.user for known in _records(self._users.get(key.user))), key.user)
        record = SessionRoute(key.sid, user, owned.incarnation, entry.create_revision, info)
        owned.sessions.add(record.sid)
        _add(self._sessions, record.sid, record)
        _add(self._users, user, record)

    def _drop_session(self, key: keys.SessionKey) -> None:
        held = _records(self._sessions.get(key.sid))
        record = next((r for r in held if r.incarnation == key.incarnation and r.user == key.user), None)
        if record is None:
            return
        _remove(self._sessions, key.sid, record)
        _remove(self._users, key.user, record)
        owned = self._owned[key.incarnation]
        owned.sessions.discard(key.sid)
        self._forget(owned)

    def _put_file(self, key: keys.FileKey) -> None:
        owned = self._owned_by(key.incarnation)
        if key.file not in owned.files:
            owned.files.add(key.file)
            self._files[key.file] = (*self._files.get(key.file, ()), owned.incarnation)

    def _drop_file(self, key: keys.FileKey) -> None:
        owned = self._owned.get(key.incarnation)
        if owned is None or key.file not in owned.files:
            return
        owned.files.discard(key.file)
        rest = tuple(incarnation for incarnation in self._files[key.file] if incarnation != key.incarnation)
        if rest:
            self._files[key.file] = rest
        else:
            del self._files[key.file]
        self._forget(owned)

    def _owned_by(self, incarnation: Incarnation) -> _IncarnationKeys:
        owned = self._owned.get(incarnation)
        if owned is None:
            owned = self._owned[incarnation] = _IncarnationKeys(incarnation)
        return owned

    def _forget(self, owned: _IncarnationKeys) -> None:
        if not owned.sessions and not owned.files:
            del self._owned[owned.incarnation]

    def _user_of(self, sid: int, incarnation: Incarnation) -> str:
        return next(record.user for record in _records(self._sessions[sid]) if record.incarnation == incarnation)

    def _newest(self, records: Iterable[SessionRoute]) -> SessionRoute | None:
        newest = None
        for record in records:
            if (newest is None or record.created > newest.created) and self._nodes.counts(record.incarnation):
                newest = record
        return newest


def _records(bucket: _Bucket | None) -> Iterable[SessionRoute]:
    if bucket is None:
        return ()
    return bucket.values() if isinstance(bucket, dict) else (bucket,)


def _add(table: dict[_Key, _Bucket], key: _Key, record: SessionRoute) -> None:
    bucket = table.get(key)
    if bucket is None:
        table[key] = record
    elif isinstance(bucket, dict):
        bucket[id(record)] = record
    else:
        table[key] = {id(bucket): bucket, id(record): record}


def _remove(table: dict[_Key, _Bucket], key: _Key, record: SessionRoute) -> None:
    bucket = table[key]
    if not isinstance(bucket, dict):
        del table[key]
        return
    del bucket[id(record)]
    if len(bucket) == 1:
        table[key] = next(iter(bucket.values()))
