"""Core: the route table: everything registered, as one router knows it, from a snapshot and a watch.

The table holds

* the routes of a session, one for each incarnation that has registered the session. Usually one; two while a session
  moves between nodes. The newest by create-revision whose incarnation counts is the session's route;
* the incarnations of a file;
* for each incarnation, what it has registered, so that neither its end nor its sweeping walks the whole table.

The end of an incarnation changes none of these: its routes stop *counting*, which each lookup checks, and its keys
leave the table when they are deleted from the store. So one watch event ends 100,000 routes at no cost, and the table
always equals the store at `revision`.

A session id belongs to one user, so (sid, incarnation) identifies a route. Half a million sessions must fit in memory:
a bucket is its only route, and becomes a dict for several; users and incarnations are shared objects.
"""

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from sys import intern
from typing import TypeVar

import msgspec

from registry import keys
from registry.model import Incarnation, Node, SessionInfo, SessionRoute
from registry.nodes import NodeTable, TableChange
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
        self._prefix_length = len(self._keys.prefix)
        self._nodes = NodeTable()
        self._clear()

    def _clear(self) -> None:
        self._sessions: dict[int, _Bucket] = {}
        self._users: dict[str, _Bucket] = {}
        self._files: dict[str, tuple[Incarnation, ...]] = {}
        self._owned: dict[Incarnation, _IncarnationKeys] = {}
        self._distrusted: set[tuple[int, Incarnation]] = set()

    # Lookups

    def session(self, sid: int) -> SessionRoute | None:
        """The session's route: the newest whose incarnation counts. None is a miss, not yet an OFFLINE."""
        return self._newest(_routes(self._sessions.get(sid)))

    def user(self, user: str) -> list[SessionRoute]:
        """The routes of all sessions of the user, one for each session."""
        newest: dict[int, SessionRoute] = {}
        for route in _routes(self._users.get(user)):
            known = newest.get(route.sid)
            is_newer = known is None or route.create_revision > known.create_revision
            if is_newer and self._counts(route):
                newest[route.sid] = route
        return list(newest.values())

    def file(self, file: str) -> list[Incarnation]:
        """The incarnations that own the file and count."""
        return [incarnation for incarnation in self._files.get(file, ()) if self._nodes.is_routable(incarnation)]

    def incarnations(self) -> Mapping[Incarnation, Node]:
        """The nodes whose key exists, by their incarnation. A view: valid until the next change."""
        return self._nodes.present

    def present(self, incarnation: Incarnation) -> bool:
        """Whether the node's key exists with this epoch."""
        return incarnation in self._nodes.present

    def lingering(self) -> list[Incarnation]:
        """Incarnations without a node key that `end` has not ended yet: their routes count."""
        return list(self._nodes.lingering)

    def batch(self, incarnation: Incarnation) -> int:
        """The newest batch of this incarnation that the table holds; 0 when the incarnation is not present."""
        return self._nodes.batch(incarnation)

    @property
    def malformed(self) -> int:
        """Keys and values that were skipped, because no process of Homing writes such ones."""
        return self._nodes.malformed

    def __len__(self) -> int:
        """The number of session ids with a route, whether or not its incarnation counts."""
        return len(self._sessions)

    # A route that its own node denies

    def distrust(self, sid: int, incarnation: Incarnation) -> None:
        """The route stops counting, since its node does not have the session; an older one may be right.

        Until the route's key is deleted or written again. Only for a route that the table, caught up, still has: a node
        never gets back a session that it has denied.
        """
        if any(route.incarnation == incarnation for route in _routes(self._sessions.get(sid))):
            self._distrusted.add((sid, incarnation))

    # The end of an incarnation

    def end(self, incarnation: Incarnation) -> None:
        """End a lingering incarnation, whose stream does not answer either: its routes stop counting. Else a no-op."""
        self._nodes.lingering.discard(incarnation)

    def ended(self) -> list[Incarnation]:
        """Incarnations that are neither present nor lingering and still have keys, for the sweeper."""
        return [incarnation for incarnation in self._owned if not self._nodes.is_routable(incarnation)]

    def keys_of(self, incarnation: Incarnation, limit: int) -> list[str]:
        """At most `limit` keys of the incarnation's sessions and files that still exist."""
        owned = self._owned.get(incarnation)
        if owned is None:
            return []
        sessions = (self._keys.session(self._user_of(sid, incarnation), sid, incarnation) for sid in owned.sessions)
        files = (self._keys.file(file, incarnation) for file in owned.files)
        return list(islice(chain(sessions, files), limit))

    # Changes

    def apply(self, changes: Changes) -> TableChange:
        """Apply one message of the watch, in its order."""
        for entry, deleted in changes.changes:
            key = self._parse(entry)
            match key:
                case keys.SessionKey():
                    self._delete_session(key) if deleted else self._put_session(key, entry)
                case keys.FileKey():
                    self._delete_file(key) if deleted else self._put_file(key)
                case keys.NodeKey(name):
                    if deleted:
                        self._nodes.delete_node(name)
                    else:
                        self._nodes.put_node(name, entry.create_revision, entry.value)
                case keys.BatchKey(name):
                    self._nodes.delete_batch(name) if deleted else self._nodes.put_batch(name, entry.value)
        self.revision = changes.revision
        return self._nodes.take_change()

    def load(self, snapshot: Snapshot) -> TableChange:
        """Replace everything by a snapshot. The result is the difference in nodes, as if it had been watched."""
        self._clear()
        nodes, batches = [], {}
        for entry in snapshot.entries:
            key = self._parse(entry)
            match key:
                case keys.SessionKey():
                    self._put_session(key, entry)
                case keys.FileKey():
                    self._put_file(key)
                case keys.NodeKey(name):
                    nodes.append((name, entry.create_revision, entry.value))
                case keys.BatchKey(name):
                    batches[name] = entry.value
        self._nodes.load(nodes, batches)
        self.revision = snapshot.revision
        return self._nodes.take_change()

    def _parse(self, entry: Entry) -> keys.ParsedKey | None:
        try:
            return keys.parse_key(entry.key, self._prefix_length)
        except keys.MalformedKey:
            self._nodes.malformed += 1
            return None

    # Sessions and files

    def _put_session(self, key: keys.SessionKey, entry: Entry) -> None:
        try:
            info = _decode(entry.value)
        except msgspec.MsgspecError:
            self._nodes.malformed += 1
            return
        info = SessionInfo(intern(info.namespace), intern(info.auth_type), info.connected_at)
        self._delete_session(key)
        owned = self._owned_by(key.incarnation)
        user = next((known.user for known in _routes(self._users.get(key.user))), key.user)
        route = SessionRoute(key.sid, user, owned.incarnation, entry.create_revision, info)
        owned.sessions.add(route.sid)
        _add(self._sessions, route.sid, route)
        _add(self._users, user, route)

    def _delete_session(self, key: keys.SessionKey) -> None:
        routes = _routes(self._sessions.get(key.sid))
        route = next((r for r in routes if r.incarnation == key.incarnation and r.user == key.user), None)
        if route is None:
            return
        self._distrusted.discard((key.sid, key.incarnation))
        _remove(self._sessions, key.sid, route)
        _remove(self._users, key.user, route)
        owned = self._owned[key.incarnation]
        owned.sessions.discard(key.sid)
        self._forget_empty(owned)

    def _put_file(self, key: keys.FileKey) -> None:
        owned = self._owned_by(key.incarnation)
        if key.file not in owned.files:
            owned.files.add(key.file)
            self._files[key.file] = (*self._files.get(key.file, ()), owned.incarnation)

    def _delete_file(self, key: keys.FileKey) -> None:
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

    def _owned_by(self, incarnation: Incarnation) -> _IncarnationKeys:
        owned = self._owned.get(incarnation)
        if owned is None:
            owned = self._owned[incarnation] = _IncarnationKeys(incarnation)
        return owned

    def _forget_empty(self, owned: _IncarnationKeys) -> None:
        if not owned.sessions and not owned.files:
            del self._owned[owned.incarnation]

    def _user_of(self, sid: int, incarnation: Incarnation) -> str:
        return next(route.user for route in _routes(self._sessions[sid]) if route.incarnation == incarnation)

    def _newest(self, routes: Iterable[SessionRoute]) -> SessionRoute | None:
        newest = None
        for route in routes:
            is_newer = newest is None or route.create_revision > newest.create_revision
            if is_newer and self._counts(route):
                newest = route
        return newest

    def _counts(self, route: SessionRoute) -> bool:
        if self._distrusted and (route.sid, route.incarnation) in self._distrusted:
            return False
        return self._nodes.is_routable(route.incarnation)


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
