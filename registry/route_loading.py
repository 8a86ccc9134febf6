"""Core: a snapshot of the routes while it is read, page by page, beside the table that it will replace."""

from collections.abc import Iterable

import msgspec

from registry import keys
from registry.model import SessionInfo
from registry.route_maps import RouteMaps
from registry.store import Entry

_decode = msgspec.json.Decoder(SessionInfo).decode


class LoadingRoutes:
    """What the pages had so far. `RouteTable.replace` makes it the table."""

    __slots__ = ("_prefix_length", "batches", "malformed", "maps", "nodes")

    def __init__(self, prefix_length: int) -> None:
        """`prefix_length`: characters of the cluster's prefix, which all keys begin with."""
        self._prefix_length = prefix_length
        self.maps = RouteMaps()
        self.nodes: list[tuple[str, int, bytes]] = []  # node id, epoch, value
        self.batches: dict[str, bytes] = {}  # guard values by node id
        self.malformed = 0  # keys and values that were skipped

    def add(self, entries: Iterable[Entry]) -> None:
        """One page."""
        for entry in entries:
            try:
                self._add(keys.parse_key(entry.key, self._prefix_length), entry)
            except (keys.MalformedKey, msgspec.MsgspecError):
                self.malformed += 1

    def _add(self, key: keys.ParsedKey | None, entry: Entry) -> None:
        match key:
            case keys.SessionKey():
                self.maps.put_session(key, entry.create_revision, decode_session(entry))
            case keys.FileKey():
                self.maps.put_file(key)
            case keys.NodeKey(name):
                self.nodes.append((name, entry.create_revision, entry.value))
            case keys.BatchKey(name):
                self.batches[name] = entry.value


def decode_session(entry: Entry) -> SessionInfo:
    """The value of a session's key. Raises msgspec.MsgspecError."""
    return _decode(entry.value)
