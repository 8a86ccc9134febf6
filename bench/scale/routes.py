"""Core: the keys of many sessions, as gateways would have registered them."""

from collections.abc import Iterator

import msgspec

from registry.keys import Keys
from registry.model import Incarnation, Node, SessionInfo
from registry.store import Put

BATCH = 126  # keys in one transaction, as a gateway's batch has
FILE_MEMBERS = 20  # sessions of one file, all on one node
INFO = msgspec.json.encode(SessionInfo("/", "main-site", 1_764_000_000_000))


class SyntheticRoutes:
    """Sessions with Snowflake-like ids of users with one session each, evenly on some nodes."""

    def __init__(self, cluster: str, nodes: int) -> None:
        self.keys = Keys(cluster)
        self.incarnations = [Incarnation(f"gateway-{number:03}", 1000 + number) for number in range(nodes)]

    def node_puts(self) -> list[Put]:
        """The keys of the nodes themselves, without leases."""
        puts = []
        for number, incarnation in enumerate(self.incarnations):
            node = Node("ws://10.0.0.1:8400/ws", f"10.0.{number}.1:8401", f"10.0.{number}.1:8402", number, "bench")
            puts.append(Put(self.keys.node(incarnation.node), msgspec.json.encode(node)))
            puts.append(Put(self.keys.batch(incarnation.node), b"0"))
        return puts

    def session_put(self, number: int) -> Put:
        """The key of one session."""
        incarnation = self.incarnations[number % len(self.incarnations)]
        sid = (251_718_449 << 32) + number * 4_099
        return Put(self.keys.session(f"user-{number:09}", sid, incarnation), INFO)

    def batches(self, first: int, last: int) -> Iterator[list[Put]]:
        """The sessions from `first` to before `last`, and a file for each `FILE_MEMBERS` of them, in transactions."""
        batch: list[Put] = []
        for number in range(first, last):
            batch.append(self.session_put(number))
            if number % FILE_MEMBERS == 0:
                incarnation = self.incarnations[number % len(self.incarnations)]
                batch.append(Put(self.keys.file(f"document-{number // FILE_MEMBERS:08}", incarnation), b""))
            if len(batch) >= BATCH - 1:
                yield batch
                batch = []
        if batch:
            yield batch
