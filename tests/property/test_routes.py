"""The route table against a naive model: folded in any pieces, it always equals what the store's contents mean."""

import hypothesis.strategies as st
import msgspec
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from registry.keys import BatchKey, FileKey, Keys, NodeKey, SessionKey, parse
from registry.model import Life, Node, SessionInfo
from registry.routes import RouteTable
from registry.store import Change, Changes, Entry, Reading

KEYS = Keys("c")
NODES = st.sampled_from(["n1", "n.2", "n/3"])
SIDS = st.integers(1, 6)
GUIDS = st.sampled_from(["f", "g/1", "h.%"])
INFO = msgspec.json.encode(SessionInfo("/", "test", 5))


def user_of(sid: int) -> str:
    return f"u/{sid % 3}"


class Store:
    """Keys with revisions, and the changes that nobody has folded yet."""

    def __init__(self) -> None:
        self.revision = 1
        self.entries: dict[str, Entry] = {}
        self.news: list[Change] = []

    def write(self, **writes: bytes | None) -> None:
        """One transaction: every value is put, every None deleted."""
        self.revision += 1
        for key, value in writes.items():
            old = self.entries.pop(key, None)
            if value is not None:
                created = old.create_revision if old else self.revision
                self.entries[key] = Entry(key, value, created, self.revision)
                self.news.append(Change(self.entries[key], False))
            elif old is not None:
                self.news.append(Change(Entry(key, b"", 0, self.revision), True))


class Model:
    """What a store's contents mean, worked out from scratch, the slow way."""

    def __init__(self, entries: dict[str, Entry], lingering: set[Life]) -> None:
        parsed = [(parse(e.key, len(KEYS.prefix)), e) for e in entries.values()]
        self.lives = {
            Life(key.node, e.create_revision): msgspec.json.decode(e.value, type=Node)
            for key, e in parsed
            if isinstance(key, NodeKey)
        }
        counts = set(self.lives) | lingering
        sessions = [(key, e) for key, e in parsed if isinstance(key, SessionKey)]
        files = [key for key, _ in parsed if isinstance(key, FileKey)]
        batches = {key.node: int(e.value) for key, e in parsed if isinstance(key, BatchKey)}
        self.batches = {life: batches.get(life.node, 0) for life in self.lives}
        self.routes: dict[int, tuple[int, Life]] = {}
        for key, e in sessions:
            if key.life in counts:
                self.routes[key.sid] = max(self.routes.get(key.sid, (0, Life("", 0))), (e.create_revision, key.life))
        self.owners = {
            guid: {f.life for f in files if f.guid == guid and f.life in counts} for guid in ("f", "g/1", "h.%")
        }
        self.over = {key.life for key, _ in sessions} | {key.life for key in files}
        self.over -= counts
        self.owned: dict[Life, set[str]] = {}
        for key, e in parsed:
            if isinstance(key, SessionKey | FileKey):
                self.owned.setdefault(key.life, set()).add(e.key)


class RouteTableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.table = RouteTable("c")
        self.seen: dict[str, Entry] = {}  # the store's contents at the table's revision
        self.known: dict[Life, Node] = {}  # lives as told by changes
        self.numbers: dict[Life, int] = {}
        self.lingering: set[Life] = set()

    # What happens in the store

    def life(self, name: str) -> Life | None:
        entry = self.store.entries.get(KEYS.node(name))
        return None if entry is None else Life(name, entry.create_revision)

    def past_or_present(self, data: st.DataObject) -> Life | None:
        lives = sorted({*self.known, *self.lingering, *filter(None, map(self.life, ("n1", "n.2", "n/3")))})
        return data.draw(st.sampled_from(lives)) if lives else None

    @rule(name=NODES, draining=st.booleans())
    def node_starts_or_changes(self, name: str, draining: bool) -> None:
        value = msgspec.json.encode(Node("c", "p", "a", 1, "v", draining))
        self.store.write(**{KEYS.node(name): value, KEYS.batch(name): b"0"})

    @rule(name=NODES)
    def node_dies(self, name: str) -> None:
        self.store.write(**{KEYS.node(name): None, KEYS.batch(name): None})

    @rule(name=NODES, number=st.integers(1, 99), sids=st.lists(SIDS, unique=True), guids=st.lists(GUIDS, unique=True))
    def node_registers(self, name: str, number: int, sids: list[int], guids: list[str]) -> None:
        life = self.life(name)
        if life is not None:
            writes: dict[str, bytes | None] = {KEYS.session(user_of(sid), sid, life): INFO for sid in sids}
            writes |= {KEYS.file(guid, life): b"" for guid in guids}
            self.store.write(**writes, **{KEYS.batch(name): b"%d" % number})

    @rule(data=st.data(), sid=SIDS, guid=GUIDS)
    def somebody_deletes(self, data: st.DataObject, sid: int, guid: str) -> None:
        life = self.past_or_present(data)
        if life is not None:
            self.store.write(**{KEYS.session(user_of(sid), sid, life): None, KEYS.file(guid, life): None})

    @rule()
    def something_else_happens(self) -> None:
        self.store.write(**{KEYS.sweeper: b"r", KEYS.prefix + "nonsense": b"", KEYS.prefix + "sessions/x": b""})

    # What the table is told

    @rule(pieces=st.integers(1, 30))
    def fold(self, pieces: int) -> None:
        news, self.store.news = self.store.news[:pieces], self.store.news[pieces:]
        while self.store.news and news and self.store.news[0].entry.mod_revision == news[-1].entry.mod_revision:
            news.append(self.store.news.pop(0))  # a watch never splits a transaction
        for entry, deleted in news:
            if deleted:
                del self.seen[entry.key]
            else:
                self.seen[entry.key] = entry
        revision = news[-1].entry.mod_revision if news else self.table.revision
        self.learn(self.table.fold(Changes(revision, news)))

    @rule()
    def resync(self) -> None:
        self.store.news = []
        self.seen = dict(self.store.entries)
        entries = [self.seen[key] for key in sorted(self.seen)]
        self.learn(self.table.replace(Reading(self.store.revision, entries)))

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        life = self.past_or_present(data)
        if life is not None:
            self.table.end(life)
            self.lingering.discard(life)

    def learn(self, change) -> None:
        """Follow what is told; a rule of the port broken (up twice, gone unknown) shows here."""
        for life, node in change.up:
            assert life not in self.known
            self.known[life] = node
        for life, node in change.changed:
            assert self.known[life] != node
            self.known[life] = node
        for life in change.gone:
            del self.known[life]
            self.numbers.pop(life, None)
            self.lingering.add(life)
        self.numbers.update(change.batches)

    # What must always be true

    @invariant()
    def equals_the_model(self) -> None:
        model = Model(self.seen, self.lingering)
        table = self.table
        assert dict(table.lives()) == model.lives == self.known
        assert set(table.lingering()) == self.lingering
        assert {life: table.batch(life) for life in model.lives} == model.batches == self.numbers
        for sid in range(1, 7):
            route = table.session(sid)
            assert (route and (route.created, route.life)) == model.routes.get(sid)
        for user in {user_of(sid) for sid in range(3)}:
            routes = table.user(user)
            assert sorted(r.sid for r in routes) == sorted(s for s in model.routes if user_of(s) == user)
            assert all(model.routes[r.sid] == (r.created, r.life) and r.user == user for r in routes)
        for guid, owners in model.owners.items():
            assert sorted(table.file(guid)) == sorted(owners)
        assert set(table.over()) == model.over
        for life, owned in model.owned.items():
            assert set(table.keys_of(life, 1000)) == owned
            assert len(table.keys_of(life, 1)) == 1


TestRouteTable = RouteTableMachine.TestCase
