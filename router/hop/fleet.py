"""A hop per living node, kept in step with the route table.

The table says who is there; the fleet says who answers. A life whose node key is gone *lingers* in the table until its
stream is down or silent too: only then do its routes end (design §4, "Dead").
"""

import asyncio
import logging
from collections.abc import Callable

from registry.model import Life, Node
from registry.ports import RouteFeed
from registry.routes import TableChange
from router.hop.port import Hop, MakeHop, OnHandled, nobody_hears

log = logging.getLogger(__name__)


class Fleet:
    """Every hop of this router. `run` owns their tasks."""

    def __init__(self, feed: RouteFeed, make_hop: MakeHop) -> None:
        self._feed = feed
        self._make_hop = make_hop
        self._hops: dict[Life, Hop] = {}
        self._tasks: dict[Life, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._scattering: frozenset[Life] = frozenset()
        self._wanting = 0  # watchers that want nodes' statistics
        self.listeners: set[Callable[[], None]] = set()  # hear that the table or a hop may have changed
        self.on_handled: OnHandled = nobody_hears

    def hop(self, life: Life) -> Hop | None:
        """The hop to this life; None for one that is over."""
        return self._hops.get(life)

    def want_stats(self) -> None:
        """Somebody wants every node's statistics, each second; `unwant_stats` ends it."""
        self._wanting += 1
        self._tell_wanted()

    def unwant_stats(self) -> None:
        self._wanting -= 1
        self._tell_wanted()

    def _tell_wanted(self) -> None:
        for hop in self._hops.values():
            hop.want_stats(self._wanting > 0)

    def scattering(self) -> frozenset[Life]:
        """Lives that hold sessions or files which etcd does not know."""
        return self._scattering

    async def run(self) -> None:
        """Dial every node that is there and every one that comes, for ever."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._feed.on_change = self._table_changed
            for life, node in self._feed.table.lives().items():
                self._dial(life, node)
            await asyncio.Event().wait()

    async def wait_opened(self) -> None:
        """Until each stream to the nodes of now has been opened, or its first dial has failed."""
        await asyncio.gather(*(hop.wait_opened() for hop in list(self._hops.values())))

    # What the table says --------------------------------------------------------------------------------------------

    def _table_changed(self, change: TableChange) -> None:
        for life, node in change.up:
            self._dial(life, node)
        for life in change.gone:
            self._key_gone(life)
        for life, batch in change.batches:
            hop = self._hops.get(life)
            if hop is not None:
                hop.table_holds(batch)
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in list(self.listeners):
            listener()

    def _dial(self, life: Life, node: Node) -> None:
        if self._group is None or life in self._hops:
            return
        log.info("%s is up", life, extra={"address": node.port})
        hop = self._make_hop(life, node, self._hop_changed)
        hop.on_handled = self.on_handled
        self._hops[life] = hop
        self._tasks[life] = self._group.create_task(hop.run())
        if self._wanting:
            hop.want_stats(True)

    def _key_gone(self, life: Life) -> None:
        hop = self._hops.get(life)
        replaced = any(other.node == life.node for other in self._feed.table.lives())
        if hop is None or replaced or not hop.reachable:
            self._end(life)

    def _end(self, life: Life) -> None:
        self._feed.table.end(life)
        hop, task = self._hops.pop(life, None), self._tasks.pop(life, None)
        if hop is not None and task is not None:
            log.info("%s is over", life)
            task.cancel()
        self._scattering -= {life}

    # What a hop says ------------------------------------------------------------------------------------------------

    def _hop_changed(self, hop: Hop) -> None:
        life = hop.life
        self._scattering = self._scattering | {life} if hop.unregistered else self._scattering - {life}
        if not hop.reachable and life in self._hops and not self._feed.table.present(life):
            self._end(life)
        self._tell_listeners()
