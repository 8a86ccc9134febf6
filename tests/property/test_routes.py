"""The route table against a naive model: however the watch is split, it equals the store's contents."""

import hypothesis.strategies as st
import msgspec
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from registry.keys import BatchKey, FileKey, Keys, MalformedKey, NodeKey, ParsedKey, SessionKey, parse_key
from registry.model import Incarnation, Node, SessionInfo
from registry.routes import RouteTable
from registry.store import Change, Changes, Entry, Snapshot
from tests.support.table import load

KEYS = Keys("c")
NODES = st.sampled_from(["n1", "n.2", "n/3"])
SIDS = st.integers(1, 6)
FILES = st.sampled_from(["f", "g/1", "h.%"])
INFO = msgspec.json.encode(SessionInfo("/", "test", 5))


def user_of(sid: int) -> str:
    return f"u/{sid % 3}"


class KeyHistory:
    """Keys with revisions, and the changes that the table has not applied yet."""

    def __init__(self) -> None:
        self.revision = 1
        self.entries: dict[str, Entry] = {}
        self.unread: list[Change] = []

    def write(self, **writes: bytes | None) -> None:
        """One transaction: every value is put, every None deleted."""
        self.revision += 1
        for key, value in writes.items():
            old = self.entries.pop(key, None)
            if value is not None:
                created = old.create_revision if old else self.revision
                self.entries[key] = Entry(key, value, created, self.revision)
                self.unread.append(Change(self.entries[key], False))
            elif old is not None:
                self.unread.append(Change(Entry(key, b"", 0, self.revision), True))


def parse(key: str) -> ParsedKey | None:
    try:
        return parse_key(key, len(KEYS.prefix))
    except MalformedKey:
        return None


class Model:
    """The routes of a store's contents, computed from scratch."""

    def __init__(self, entries: dict[str, Entry], lingering: set[Incarnation]) -> None:
        parsed = [(parse(e.key), e) for e in entries.values()]
        self.incarnations = {
            Incarnation(key.node, e.create_revision): msgspec.json.decode(e.value, type=Node)
            for key, e in parsed
            if isinstance(key, NodeKey)
        }
        counts = set(self.incarnations) | lingering
        sessions = [(key, e) for key, e in parsed if isinstance(key, SessionKey)]
        files = [key for key, _ in parsed if isinstance(key, FileKey)]
        batches = {key.node: int(e.value) for key, e in parsed if isinstance(key, BatchKey)}
        self.batches = {incarnation: batches.get(incarnation.node, 0) for incarnation in self.incarnations}
        self.routes: dict[int, tuple[int, Incarnation]] = {}
        for key, e in sessions:
            if key.incarnation in counts:
                self.routes[key.sid] = max(
                    self.routes.get(key.sid, (0, Incarnation("", 0))), (e.create_revision, key.incarnation)
                )
        self.owners = {
            file: {f.incarnation for f in files if f.file == file and f.incarnation in counts}
            for file in ("f", "g/1", "h.%")
        }
        self.over = {key.incarnation for key, _ in sessions} | {key.incarnation for key in files}
        self.over -= counts
        self.owned: dict[Incarnation, set[str]] = {}
        for key, e in parsed:
            if isinstance(key, SessionKey | FileKey):
                self.owned.setdefault(key.incarnation, set()).add(e.key)


class RouteTableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = KeyHistory()
        self.table = RouteTable("c")
        self.seen: dict[str, Entry] = {}  # the store's contents at the table's revision
        self.known: dict[Incarnation, Node] = {}  # incarnations by the changes
        self.numbers: dict[Incarnation, int] = {}
        self.lingering: set[Incarnation] = set()

    # What happens in the store

    def incarnation(self, name: str) -> Incarnation | None:
        entry = self.store.entries.get(KEYS.node(name))
        return None if entry is None else Incarnation(name, entry.create_revision)

    def past_or_present(self, data: st.DataObject) -> Incarnation | None:
        incarnations = sorted(
            {*self.known, *self.lingering, *filter(None, map(self.incarnation, ("n1", "n.2", "n/3")))}
        )
        return data.draw(st.sampled_from(incarnations)) if incarnations else None

    @rule(name=NODES, draining=st.booleans())
    def node_starts_or_changes(self, name: str, draining: bool) -> None:
        value = msgspec.json.encode(Node("c", "p:1", "a", 1, "v", draining))
        self.store.write(**{KEYS.node(name): value, KEYS.batch(name): b"0"})

    @rule(name=NODES)
    def node_dies(self, name: str) -> None:
        self.store.write(**{KEYS.node(name): None, KEYS.batch(name): None})

    @rule(name=NODES, number=st.integers(1, 99), sids=st.lists(SIDS, unique=True), files=st.lists(FILES, unique=True))
    def node_registers(self, name: str, number: int, sids: list[int], files: list[str]) -> None:
        incarnation = self.incarnation(name)
        if incarnation is not None:
            writes: dict[str, bytes | None] = {KEYS.session(user_of(sid), sid, incarnation): INFO for sid in sids}
            writes |= {KEYS.file(file, incarnation): b"" for file in files}
            self.store.write(**writes, **{KEYS.batch(name): b"%d" % number})

    @rule(data=st.data(), sid=SIDS, file=FILES)
    def somebody_deletes(self, data: st.DataObject, sid: int, file: str) -> None:
        incarnation = self.past_or_present(data)
        if incarnation is not None:
            self.store.write(**{KEYS.session(user_of(sid), sid, incarnation): None, KEYS.file(file, incarnation): None})

    @rule()
    def something_else_happens(self) -> None:
        self.store.write(**{KEYS.sweeper: b"r", KEYS.prefix + "nonsense": b"", KEYS.prefix + "sessions/x": b""})

    # What the table receives

    @rule(pieces=st.integers(1, 30))
    def apply(self, pieces: int) -> None:
        changes, self.store.unread = self.store.unread[:pieces], self.store.unread[pieces:]
        while (
            self.store.unread and changes and self.store.unread[0].entry.mod_revision == changes[-1].entry.mod_revision
        ):
            changes.append(self.store.unread.pop(0))  # a watch never splits a transaction
        for entry, deleted in changes:
            if deleted:
                del self.seen[entry.key]
            else:
                self.seen[entry.key] = entry
        revision = changes[-1].entry.mod_revision if changes else self.table.revision
        self.check_change(self.table.apply(Changes(revision, changes)))

    @rule()
    def load(self) -> None:
        self.store.unread = []
        self.seen = dict(self.store.entries)
        entries = [self.seen[key] for key in sorted(self.seen)]
        self.check_change(load(self.table, Snapshot(self.store.revision, entries)))

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        incarnation = self.past_or_present(data)
        if incarnation is not None:
            self.table.end(incarnation)
            self.lingering.discard(incarnation)

    def check_change(self, change) -> None:
        """Follow the changes: none is up twice, and none is gone that was not up."""
        for incarnation, node in change.up:
            assert incarnation not in self.known
            self.known[incarnation] = node
        for incarnation, node in change.changed:
            assert self.known[incarnation] != node
            self.known[incarnation] = node
        for incarnation in change.gone:
            del self.known[incarnation]
            self.numbers.pop(incarnation, None)
            self.lingering.add(incarnation)
        self.numbers.update(change.batches)

    # What must always be true

    @invariant()
    def equals_the_model(self) -> None:
        model = Model(self.seen, self.lingering)
        table = self.table
        assert dict(table.incarnations()) == model.incarnations == self.known
        assert set(table.lingering()) == self.lingering
        assert (
            {incarnation: table.batch(incarnation) for incarnation in model.incarnations}
            == model.batches
            == self.numbers
        )
        for sid in range(1, 7):
            route = table.session(sid)
            assert (route and (route.create_revision, route.incarnation)) == model.routes.get(sid)
        for user in {user_of(sid) for sid in range(3)}:
            routes = table.user(user)
            assert sorted(r.sid for r in routes) == sorted(s for s in model.routes if user_of(s) == user)
            assert all(model.routes[r.sid] == (r.create_revision, r.incarnation) and r.user == user for r in routes)
        for file, owners in model.owners.items():
            assert sorted(table.file(file)) == sorted(owners)
        assert set(table.ended()) == model.over
        for incarnation, owned in model.owned.items():
            assert {key for key, _ in table.keys_of(incarnation, 1000)} == owned
            assert len(table.keys_of(incarnation, 1)) == 1


TestRouteTable = RouteTableMachine.TestCase
