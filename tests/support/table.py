"""A route table as a test wants it, and a feed that has it."""

from collections.abc import Callable

import msgspec

from registry.keys import Keys
from registry.lapse import Answer
from registry.model import Life, Node, SessionInfo
from registry.routes import RouteTable, TableChange
from registry.store import Change, Changes, Entry

KEYS = Keys("homing")
INFO = SessionInfo("/", "test", 1_764_000_000_000)


def ignore(_change: TableChange) -> None:
    """Nobody listens yet."""


class TableFeed:
    """A `RouteFeed` whose store is the test: `later` is what the table learns when it catches up."""

    def __init__(self) -> None:
        self.table = RouteTable("homing")
        self.on_change: Callable[[TableChange], None] = ignore
        self.readable = True
        self.reads = 0
        self.stands: Answer | None = None
        self.later: list[Callable[[], None]] = []

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

    async def standing(self, life: Life) -> Answer:
        self.reads += 1
        return self.stands or (Answer.ALIVE if self.table.present(life) else Answer.FENCED)

    def _change(self, key: str, value: bytes, deleted: bool = False) -> int:
        revision = self.table.revision + 1
        entry = Entry(key, b"" if deleted else value, 0 if deleted else revision, revision)
        self.on_change(self.table.fold(Changes(revision, [Change(entry, deleted)])))
        return revision

    def node(self, name: str) -> Life:
        """A node comes; its life."""
        node = Node(f"ws://{name}/ws", f"{name}:1", f"{name}:2", 0, "test")
        epoch = self._change(KEYS.node(name), msgspec.json.encode(node))
        self._change(KEYS.batch(name), b"0")
        return Life(name, epoch)

    def node_gone(self, name: str) -> None:
        self._change(KEYS.node(name), b"", deleted=True)

    def batch(self, name: str, number: int) -> None:
        self._change(KEYS.batch(name), b"%d" % number)

    def session(self, life: Life, user: str, sid: int, namespace: str = "/") -> None:
        info = msgspec.structs.replace(INFO, namespace=namespace)
        self._change(KEYS.session(user, sid, life), msgspec.json.encode(info))

    def session_gone(self, life: Life, user: str, sid: int) -> None:
        self._change(KEYS.session(user, sid, life), b"", deleted=True)

    def file(self, life: Life, guid: str) -> None:
        self._change(KEYS.file(guid, life), b"")
