"""A route table as a test wants it, and a feed that has it."""

from collections.abc import Callable

import msgspec

from registry.keys import Keys
from registry.lease_state import FencingAnswer
from registry.model import Incarnation, Node, SessionInfo
from registry.routes import RouteTable, TableChange
from registry.store import Change, Changes, Entry, Snapshot

KEYS = Keys("homing")
INFO = SessionInfo("/", "test", 1_764_000_000_000)


def load(table: RouteTable, snapshot: Snapshot) -> TableChange:
    """Load a snapshot at once, and free what was there before."""
    loading = table.begin_load()
    loading.add(snapshot.entries)
    change = table.replace(loading, snapshot.revision)
    for _ in table.free():
        pass
    return change


class TableFeed:
    """A `RouteFeed` whose store is the test: `later` is what the table learns when it catches up."""

    def __init__(self) -> None:
        self.table = RouteTable("homing")
        self._subscribers: list[Callable[[TableChange], None]] = []
        self.readable = True
        self.reads = 0
        self.forced_answer: FencingAnswer | None = None
        self.later: list[Callable[[], None]] = []
        self.unverified = False
        self.may_lack_routes = False
        self.behind = 0.0  # seconds

    def subscribe(self, on_change: Callable[[TableChange], None]) -> None:
        self._subscribers.append(on_change)

    async def run(self) -> None:
        """Nothing runs."""

    async def wait_synced(self) -> None:
        """Always."""

    async def wait_caught_up(self) -> bool:
        self.reads += 1
        if self.readable:
            later, self.later = self.later, []
            for learn in later:
                learn()
        return self.readable

    def behind_for(self) -> float:
        return self.behind

    def verify(self) -> None:
        self.unverified = True

    async def fencing_answer(self, incarnation: Incarnation) -> FencingAnswer:
        self.reads += 1
        return self.forced_answer or (FencingAnswer.ALIVE if self.table.present(incarnation) else FencingAnswer.FENCED)

    def _change(self, key: str, value: bytes, deleted: bool = False) -> int:
        revision = self.table.revision + 1
        entry = Entry(key, b"" if deleted else value, 0 if deleted else revision, revision)
        change = self.table.apply(Changes(revision, [Change(entry, deleted)]))
        for on_change in self._subscribers:
            on_change(change)
        return revision

    def node(self, name: str) -> Incarnation:
        """A node comes; its incarnation."""
        node = Node(f"ws://{name}/ws", f"{name}:1", f"{name}:2", 0, "test")
        epoch = self._change(KEYS.node(name), msgspec.json.encode(node))
        self._change(KEYS.batch(name), b"0")
        return Incarnation(name, epoch)

    def node_gone(self, name: str) -> None:
        self._change(KEYS.node(name), b"", deleted=True)

    def batch(self, name: str, number: int) -> None:
        self._change(KEYS.batch(name), b"%d" % number)

    def session(self, incarnation: Incarnation, user: str, sid: int, namespace: str = "/") -> None:
        info = msgspec.structs.replace(INFO, namespace=namespace)
        self._change(KEYS.session(user, sid, incarnation), msgspec.json.encode(info))

    def session_gone(self, incarnation: Incarnation, user: str, sid: int) -> None:
        self._change(KEYS.session(user, sid, incarnation), b"", deleted=True)

    def file(self, incarnation: Incarnation, file: str) -> None:
        self._change(KEYS.file(file, incarnation), b"")
