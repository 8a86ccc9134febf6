"""Shell: the living nodes by machine id, as a gateway needs them: a watch of the node keys alone."""

import logging
from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from registry.keys import Keys
from registry.model import Incarnation, Node
from registry.nodes import NodeTable
from registry.retry import RetryBackoff
from registry.store import Change, Compacted, Store, StoreUnavailable

log = logging.getLogger(__name__)


class KnownNode(NamedTuple):
    """A node of the cluster."""

    incarnation: Incarnation
    node: Node


class _Reopened(Exception):
    """The watch was interrupted; the keys are few, so they are read again."""


class NodeDirectory:
    """The nodes of a cluster. Empty until `run` has read them."""

    def __init__(self, store: Store, cluster: str) -> None:
        self._store = store
        self._keys = Keys(cluster)
        self._nodes = NodeTable()
        self._by_machine: dict[int, KnownNode] = {}

    def find(self, machine: int) -> KnownNode | None:
        """The node that has this machine id now."""
        return self._by_machine.get(machine)

    async def run(self) -> None:
        """Follow the node keys, for ever. StoreRefused: the store does not permit the reads."""
        backoff = RetryBackoff()
        while True:
            try:
                await self._follow()
            except (Compacted, StoreUnavailable, _Reopened) as error:
                log.debug("the nodes are read again: %s", error)
            await backoff.sleep()

    async def _follow(self) -> None:
        snapshot = await self._store.get_prefix(self._keys.nodes)
        self._nodes = NodeTable()
        self._apply([Change(entry, False) for entry in snapshot.entries])
        opened = False

        async def on_open() -> None:
            nonlocal opened
            if opened:
                raise _Reopened
            opened = True

        watching = self._store.watch_prefix(self._keys.nodes, snapshot.revision + 1, on_open)
        async with aclosing(watching) as watch:
            async for changes in watch:
                self._apply(changes.changes)

    def _apply(self, changes: Sequence[Change]) -> None:
        for entry, deleted in changes:
            name = entry.key.removeprefix(self._keys.nodes)
            if deleted:
                self._nodes.delete_node(name)
            else:
                self._nodes.put_node(name, entry.create_revision, entry.value)
        self._nodes.take_change()
        present = self._nodes.present.items()
        self._by_machine = {node.machine: KnownNode(incarnation, node) for incarnation, node in present}
