"""A hop per living node, kept in step with the route table.

The table says who is there; the fleet says who answers. An incarnation whose node key is gone *lingers* in the table
until its stream is down or silent too: only then do its routes end (design §4, "Dead").
"""

import asyncio
import logging
from collections.abc import Callable

from registry.model import Incarnation, Node
from registry.ports import RouteFeed
from registry.routes import TableChange
from router.hop.port import Hop, MakeHop, OnHandled, ignore_handled

log = logging.getLogger(__name__)


class Fleet:
    """Every hop of this router. `run` owns their tasks."""

    def __init__(self, feed: RouteFeed, make_hop: MakeHop) -> None:
        self._feed = feed
        self._make_hop = make_hop
        self._hops: dict[Incarnation, Hop] = {}
        self._tasks: dict[Incarnation, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._scattering: frozenset[Incarnation] = frozenset()
        self._wanting = 0  # watchers that want nodes' statistics
        self.listeners: set[Callable[[], None]] = set()  # hear that the table or a hop may have changed
        self.on_handled: OnHandled = ignore_handled

    def hop(self, incarnation: Incarnation) -> Hop | None:
        """The hop to this incarnation; None for one that is over."""
        return self._hops.get(incarnation)

    def send_stats(self) -> None:
        """Somebody wants every node's statistics, each second; `stop_stats` ends it."""
        self._wanting += 1
        self._tell_wanted()

    def stop_stats(self) -> None:
        self._wanting -= 1
        self._tell_wanted()

    def _tell_wanted(self) -> None:
        for hop in self._hops.values():
            hop.send_stats(self._wanting > 0)

    def scattering(self) -> frozenset[Incarnation]:
        """Lives that hold sessions or files which etcd does not know."""
        return self._scattering

    async def run(self) -> None:
        """Dial every node that is there and every one that comes, for ever."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._feed.on_change = self._table_changed
            for incarnation, node in self._feed.table.incarnations().items():
                self._dial(incarnation, node)
            await asyncio.Event().wait()

    async def wait_opened(self) -> None:
        """Until each stream to the nodes of now has been opened, or its first dial has failed."""
        await asyncio.gather(*(hop.wait_opened() for hop in list(self._hops.values())))

    # What the table says --------------------------------------------------------------------------------------------

    def _table_changed(self, change: TableChange) -> None:
        for incarnation, node in change.up:
            self._dial(incarnation, node)
        for incarnation in change.gone:
            self._key_gone(incarnation)
        for incarnation, batch in change.batches:
            hop = self._hops.get(incarnation)
            if hop is not None:
                hop.table_holds(batch)
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in list(self.listeners):
            listener()

    def _dial(self, incarnation: Incarnation, node: Node) -> None:
        if self._group is None or incarnation in self._hops:
            return
        log.info("%s is up", incarnation, extra={"address": node.port})
        hop = self._make_hop(incarnation, node, self._hop_changed)
        hop.on_handled = self.on_handled
        self._hops[incarnation] = hop
        self._tasks[incarnation] = self._group.create_task(hop.run())
        if self._wanting:
            hop.send_stats(True)

    def _key_gone(self, incarnation: Incarnation) -> None:
        hop = self._hops.get(incarnation)
        replaced = any(other.node == incarnation.node for other in self._feed.table.incarnations())
        if hop is None or replaced or not hop.reachable:
            self._end(incarnation)

    def _end(self, incarnation: Incarnation) -> None:
        self._feed.table.end(incarnation)
        hop, task = self._hops.pop(incarnation, None), self._tasks.pop(incarnation, None)
        if hop is not None and task is not None:
            log.info("%s is over", incarnation)
            task.cancel()
        self._scattering -= {incarnation}

    # What a hop says ------------------------------------------------------------------------------------------------

    def _hop_changed(self, hop: Hop) -> None:
        incarnation = hop.incarnation
        self._scattering = self._scattering | {incarnation} if hop.unregistered else self._scattering - {incarnation}
        if not hop.reachable and incarnation in self._hops and not self._feed.table.present(incarnation):
            self._end(incarnation)
        self._tell_listeners()
