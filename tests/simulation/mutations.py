"""Faults planted in the code, each a small replacement: the simulation must find every one (docs/promises.md).

Each is given as `replaced` to `tests.simulation.walk.run`: by the path of what it stands for.
"""

from contextlib import aclosing
from typing import Any, NamedTuple

from gateway.delivery.push_job import PushJob
from gateway.delivery.router_endpoint import RouterEndpoint, RouterStream
from gateway.outcome import ACKED
from gateway.sessions.session import Session
from registry.feed import StoreRouteFeed
from registry.lease_state import LeaseState
from registry.model import Incarnation
from registry.nodes import NodeTable
from registry.routes import RouteTable
from registry.store import Compacted, StoreUnavailable
from router.delivery.lanes import Lane
from router.delivery.plan import Plan

ENDPOINT = "gateway.delivery.router_endpoint.RouterEndpoint"

_keys_of = RouteTable.keys_of


def _is_current_whatever_the_epoch(self: RouterEndpoint, _stream: RouterStream, _epoch: int) -> bool:
    return self._lease.incarnation is not None and not self._is_fenced()


def _keys_of_every_incarnation(self: RouteTable, incarnation: Incarnation, limit: int) -> list[str]:
    """As if a key named its node alone, and not the incarnation."""
    owners = [owner for owner in self._owned if owner.node == incarnation.node]
    return [key for owner in owners for key in _keys_of(self, owner, limit)]


def _write_then_check(self: RouterEndpoint, stream: RouterStream) -> None:
    """The lease is checked after the write has begun."""
    while stream.held:
        message = stream.held.popleft()
        stream.opened(len(message.pushes) + len(message.requests))
        for push in message.pushes:
            self._take_push(stream, push)
        for request in message.requests:
            self._take_request(stream, request)
    self._writer.write()
    if self._lease.lease_state() is LeaseState.LAPSED:
        self._streams.query_fencing_of(stream)


def _ended_or_draining(self: RouteTable) -> list[Incarnation]:
    """A node that lives counts as ended."""
    return [one for one in self._owned if not self._nodes.is_routable(one) or _is_draining_or_older(self._nodes, one)]


def _is_draining_or_older(nodes: NodeTable, incarnation: Incarnation) -> bool:
    return incarnation in nodes.lingering or incarnation in list(nodes.present)[:1]


def _may_always_send(_self: Lane, _legs: Plan) -> bool:
    return True


def _acked_twice(self: PushJob, session: Session, data: bytes, content_type: str) -> None:
    """An ack does not end the wait for it."""
    if session in self.owing or session in self.unacked:
        self.owing.discard(session)
        self._record(session, ACKED, self.clock(), data, content_type)
        self._answer_if_complete()


async def _follow_without_the_first_change(self: StoreRouteFeed) -> None:
    """After a resync the watch begins one change too late."""
    while True:
        snapshot = await self._snapshot()
        self._on_change(self.table.load(snapshot))
        self._synced.set()
        try:
            start = snapshot.revision + (2 if self.resyncs else 1)
            async with aclosing(self._store.watch_prefix(self._keys.prefix, start)) as watch:
                async for changes in watch:
                    self._on_change(self.table.apply(changes))
        except (Compacted, StoreUnavailable):
            pass
        self.resyncs += 1


class Mutation(NamedTuple):
    """What is replaced, and the faults under which that shows."""

    replaced: dict[str, Any]
    fault_kinds: tuple[str, ...]


MUTATIONS: dict[str, Mutation] = {
    "no epoch check": Mutation(
        {f"{ENDPOINT}._is_current": _is_current_whatever_the_epoch}, ("expire lease", "delay watch")
    ),
    "deleting another incarnation's key": Mutation(
        {"registry.routes.RouteTable.keys_of": _keys_of_every_incarnation}, ("expire lease", "kill gateway")
    ),
    "lease checked after the write begins": Mutation({f"{ENDPOINT}._take_held": _write_then_check}, ("pause gateway",)),
    "sweep of a live node": Mutation({"registry.routes.RouteTable.ended": _ended_or_draining}, ("reset",)),
    "healing that overtakes": Mutation({"router.delivery.lanes.Lane.may_send": _may_always_send}, ("delay",)),
    "ack counted twice": Mutation({"gateway.delivery.push_job.PushJob.acked": _acked_twice}, ("delay",)),
    "a resync that drops an event": Mutation(
        {"registry.feed.StoreRouteFeed._follow": _follow_without_the_first_change}, ("break watch",)
    ),
}
