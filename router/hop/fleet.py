"""Shell: the fleet: one hop for each incarnation in the route table.

The table knows which nodes are registered, the hops know which nodes answer. An incarnation whose node key is gone
*lingers* in the table until its stream is down too; only then do its routes end
(docs/design.md, "Dead, paused, cut off").
"""

import asyncio
import logging
from collections.abc import Callable

from registry.model import Incarnation, Node
from registry.ports import RouteFeed
from registry.routes import TableChange
from router.hop.port import Hop, MakeHop

log = logging.getLogger(__name__)

Listener = Callable[[], None]


class Fleet:
    """All hops of this router. Idle until `start`."""

    def __init__(self, feed: RouteFeed, make_hop: MakeHop) -> None:
        self._feed = feed
        self._make_hop = make_hop
        self._hops: dict[Incarnation, Hop] = {}
        self._tasks: dict[Incarnation, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._scattering: frozenset[Incarnation] = frozenset()
        self._forgotten: set[Incarnation] = set()  # whose routes the store has lost; each begins another incarnation
        self._stats_requests = 0
        self._listeners: set[Listener] = set()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Dial every node that the table knows, and from now on every node that comes.

        To be called once. Each hop runs as a task of `group`, until its incarnation is over or until `close`. When this
        returns, `hop` knows a hop to every incarnation in the table.
        """
        self._group = group
        self._feed.subscribe(self._on_table_change)
        for incarnation, node in self._feed.table.incarnations().items():
            self._dial(incarnation, node)

    def close(self) -> None:
        """Cancel all hops' tasks, and dial no more. Their group awaits the tasks."""
        self._group = None
        for task in self._tasks.values():
            task.cancel()

    async def wait_opened(self) -> None:
        """Until each stream to a node of now has been opened, or its first dial has failed."""
        await asyncio.gather(*(hop.wait_opened() for hop in list(self._hops.values())))

    def hop(self, incarnation: Incarnation) -> Hop | None:
        """The hop to this incarnation; None for one that is over."""
        return self._hops.get(incarnation)

    def scattering(self) -> frozenset[Incarnation]:
        """Incarnations that have sessions or files which etcd does not know."""
        return self._scattering

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` on the loop after every change of the table or of a hop; the listener must not block."""
        self._listeners.add(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Undo `add_listener`."""
        self._listeners.discard(listener)

    def request_stats(self) -> None:
        """Request the statistics of every node, until `release_stats` has been called as often."""
        self._stats_requests += 1
        self._send_stats_requests()

    def release_stats(self) -> None:
        """Undo one `request_stats`."""
        self._stats_requests -= 1
        self._send_stats_requests()

    def _send_stats_requests(self) -> None:
        for hop in self._hops.values():
            hop.request_stats(self._stats_requests > 0)

    # Changes of the table

    def _on_table_change(self, change: TableChange) -> None:
        for incarnation, node in change.up:
            self._end_others(incarnation)
            self._dial(incarnation, node)
        for incarnation in change.gone:
            self._on_key_gone(incarnation)
        for incarnation in change.lost:
            if incarnation in self._hops:
                self._forgotten.add(incarnation)
                self._scattering |= {incarnation}
        for incarnation, batch in change.batches:
            hop = self._hops.get(incarnation)
            if hop is not None:
                hop.report_batch(batch)
        self._notify_listeners()

    def _notify_listeners(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _dial(self, incarnation: Incarnation, node: Node) -> None:
        if self._group is None or incarnation in self._hops:
            return
        log.info("%s is up", incarnation, extra={"address": node.node_address})
        hop = self._make_hop(incarnation, node, self._on_hop_change)
        self._hops[incarnation] = hop
        self._tasks[incarnation] = self._group.create_task(hop.run())
        if hop.unregistered:
            self._scattering |= {incarnation}
        if self._stats_requests:
            hop.request_stats(True)

    def _on_key_gone(self, incarnation: Incarnation) -> None:
        hop = self._hops.get(incarnation)
        replaced = any(other.node == incarnation.node for other in self._feed.table.incarnations())
        if hop is None or replaced or not hop.reachable:
            self._end(incarnation)

    def _end_others(self, current: Incarnation) -> None:
        """A node that has begun another incarnation has given up those before, whether or not a stream is left. Their
        epochs may be higher, when the store was restored or wiped in between."""
        for other in self._feed.table.lingering():
            if other.node == current.node:
                self._end(other)

    def _end(self, incarnation: Incarnation) -> None:
        """The incarnation is over: end its routes and its hop."""
        self._feed.table.end(incarnation)
        hop, task = self._hops.pop(incarnation, None), self._tasks.pop(incarnation, None)
        if hop is not None and task is not None:
            log.info("%s is over", incarnation)
            task.cancel()
        self._forgotten.discard(incarnation)
        self._scattering -= {incarnation}

    # Changes of a hop

    def _on_hop_change(self, hop: Hop) -> None:
        incarnation = hop.incarnation
        if self._hops.get(incarnation) is not hop:
            return  # it is over, and its stream has just ended too
        if not hop.reachable:
            self._forgotten.discard(incarnation)
        scatters = hop.unregistered or incarnation in self._forgotten
        self._scattering = self._scattering | {incarnation} if scatters else self._scattering - {incarnation}
        if not hop.reachable and not self._feed.table.present(incarnation):
            self._end(incarnation)
        self._notify_listeners()
