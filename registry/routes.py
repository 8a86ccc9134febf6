"""Core: the route table: everything registered, as one router knows it, from a snapshot and a watch.

The table holds

* the routes of a session, one for each incarnation that has registered the session. Usually one; two while a session
  moves between nodes. The newest by create-revision whose incarnation counts is the session's route;
* the incarnations of a file;
* for each incarnation, what it has registered, so that neither its end nor its sweeping walks the whole table.

The end of an incarnation changes none of these: its routes stop *counting*, which each lookup checks, and its keys
leave the table when they are deleted from the store. So one watch event ends 100,000 routes at no cost, and the table
always equals the store at `revision`. A snapshot is read into new maps, page by page, and replaces the old at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import msgspec

from registry import keys
from registry.model import Incarnation, Node, SessionRoute
from registry.nodes import NodeTable, TableChange
from registry.route_loading import LoadingRoutes, decode_session
from registry.route_maps import RouteMaps
from registry.store import Changes, Entry

__all__ = ["RouteTable", "TableChange"]


class RouteTable:
    """Every route of one cluster, at one revision of the store."""

    def __init__(self, cluster: str = "homing") -> None:
        self.revision = 0
        self._keys = keys.Keys(cluster)
        self._prefix_length = len(self._keys.prefix)
        self._nodes = NodeTable()
        self._maps = RouteMaps()
        self._replaced = RouteMaps()  # by the last snapshot, to be freed
        self._distrusted: set[tuple[int, Incarnation]] = set()

    # Lookups

    def session(self, sid: int) -> SessionRoute | None:
        """The session's route: the newest whose incarnation counts. None is a miss, not yet an OFFLINE."""
        return self._newest(self._maps.session(sid))

    def user(self, user: str) -> list[SessionRoute]:
        """The routes of all sessions of the user, one for each session."""
        newest: dict[int, SessionRoute] = {}
        for route in self._maps.user(user):
            known = newest.get(route.sid)
            is_newer = known is None or route.create_revision > known.create_revision
            if is_newer and self._counts(route):
                newest[route.sid] = route
        return list(newest.values())

    def file(self, file: str) -> list[Incarnation]:
        """The incarnations that own the file and count."""
        return [incarnation for incarnation in self._maps.file(file) if self._nodes.is_routable(incarnation)]

    def incarnations(self) -> Mapping[Incarnation, Node]:
        """The nodes whose key exists, by their incarnation. A view: valid until the next change."""
        return self._nodes.present

    def epochs(self) -> dict[str, int]:
        """The create-revision of every node's key, by node id, at the table's revision."""
        return dict(self._nodes.epochs)

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
        return len(self._maps)

    # A route that its own node denies

    def distrust(self, sid: int, incarnation: Incarnation) -> None:
        """The route stops counting, since its node does not have the session; an older one may be right.

        Until the route's key is deleted or written again. Only for a route that the table, caught up, still has: a node
        never gets back a session that it has denied.
        """
        if any(route.incarnation == incarnation for route in self._maps.session(sid)):
            self._distrusted.add((sid, incarnation))

    # The end of an incarnation

    def end(self, incarnation: Incarnation) -> None:
        """End a lingering incarnation, whose stream does not answer either: its routes stop counting. Else a no-op."""
        self._nodes.lingering.discard(incarnation)

    def ended(self) -> list[Incarnation]:
        """Incarnations that are neither present nor lingering and still have keys, for the sweeper."""
        return [incarnation for incarnation in self._maps.incarnations() if not self._nodes.is_routable(incarnation)]

    def keys_of(self, incarnation: Incarnation, limit: int) -> list[tuple[str, SessionRoute | None]]:
        """At most `limit` keys of the incarnation's sessions and files that still exist, and the route of a session
        that no other incarnation goes on with."""
        registered = islice(self._maps.registered_by(incarnation), limit)
        return [
            (self._keys.file(one, incarnation), None)
            if isinstance(one, str)
            else (self._keys.session(*one, incarnation), self._lost_route(one[1], incarnation))
            for one in registered
        ]

    def _lost_route(self, sid: int, incarnation: Incarnation) -> SessionRoute | None:
        if self.session(sid) is not None:
            return None
        return next(route for route in self._maps.session(sid) if route.incarnation == incarnation)

    # Changes

    def apply(self, changes: Changes) -> TableChange:
        """Apply one message of the watch, in its order."""
        for entry, deleted in changes.changes:
            key = self._parse(entry)
            match key:
                case keys.SessionKey():
                    self._delete_session(key) if deleted else self._put_session(key, entry)
                case keys.FileKey():
                    self._maps.delete_file(key) if deleted else self._maps.put_file(key)
                case keys.NodeKey(name):
                    if deleted:
                        self._nodes.delete_node(name)
                    else:
                        self._nodes.put_node(name, entry.create_revision, entry.value)
                case keys.BatchKey(name):
                    self._nodes.delete_batch(name) if deleted else self._nodes.put_batch(name, entry.value)
        self.revision = changes.revision
        return self._nodes.take_change()

    def begin_load(self) -> LoadingRoutes:
        """Where the pages of a snapshot are read into, beside this table."""
        return LoadingRoutes(self._prefix_length)

    def replace(self, loaded: LoadingRoutes, revision: int, replaced: bool = False) -> TableChange:
        """Become the snapshot that was loaded, at this revision. The result is the difference in nodes, as if it had
        been watched. What was there before is left to `free`.

        `replaced`: the snapshot is of another history of the store, so that what an incarnation had registered may be
        lost.
        """
        self._replaced, self._maps, self._distrusted = self._maps, loaded.maps, set()
        before = {incarnation: self._nodes.batch(incarnation) for incarnation in self._nodes.present}
        self._nodes.malformed += loaded.malformed
        self._nodes.load(loaded.nodes, loaded.batches)
        self.revision = revision
        change = self._nodes.take_change()
        if replaced:
            lost = tuple(incarnation for incarnation, batch in before.items() if self._nodes.batch(incarnation) < batch)
            change = change._replace(lost=(*lost, *self._nodes.lingering))
        return change

    def free(self) -> Iterator[None]:
        """Free the memory of what the last `replace` has replaced, a slice with each step."""
        return self._replaced.free()

    def _parse(self, entry: Entry) -> keys.ParsedKey | None:
        try:
            return keys.parse_key(entry.key, self._prefix_length)
        except keys.MalformedKey:
            self._nodes.malformed += 1
            return None

    def _put_session(self, key: keys.SessionKey, entry: Entry) -> None:
        try:
            info = decode_session(entry)
        except msgspec.MsgspecError:
            self._nodes.malformed += 1
            return
        self._distrusted.discard((key.sid, key.incarnation))
        self._maps.put_session(key, entry.create_revision, info)

    def _delete_session(self, key: keys.SessionKey) -> None:
        if self._maps.delete_session(key):
            self._distrusted.discard((key.sid, key.incarnation))

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
