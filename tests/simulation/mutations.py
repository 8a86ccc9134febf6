"""Faults planted in the code, each a small replacement: the simulation must find every one (docs/promises.md).

Each is given as `replaced` to `tests.simulation.run.run`: by the path of what it stands for.
"""

from typing import Any, NamedTuple

from gateway.delivery.dedup import Dedup
from gateway.delivery.push_job import PushJob
from gateway.delivery.router_endpoint import RouterEndpoint
from gateway.delivery.router_stream import RouterStream
from gateway.delivery.transit import Transit
from gateway.outcome import ACKED
from gateway.registration.barrier import RouteAckBarrier
from gateway.sessions.session import Session
from registry.feed import StoreRouteFeed
from registry.lease_state import LeaseState
from registry.model import Incarnation
from registry.routes import RouteTable
from router.delivery.lanes import Lane
from router.delivery.plan import Plan

ENDPOINT = "gateway.delivery.router_endpoint.RouterEndpoint"
BARRIER = "gateway.registration.barrier.RouteAckBarrier"

_keys_of = RouteTable.keys_of
_watch = StoreRouteFeed._watch


def _is_current_whatever_the_epoch(self: RouterEndpoint, _stream: RouterStream, _epoch: int) -> bool:
    return self._lease.incarnation is not None and not self._is_fenced()


def _keys_of_every_incarnation(self: RouteTable, incarnation: Incarnation, limit: int) -> list[str]:
    """As if a key named its node alone, and not the incarnation."""
    owners = [owner for owner in self._maps.incarnations() if owner.node == incarnation.node]
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


def _ended_and_one_that_lives(self: RouteTable) -> list[Incarnation]:
    living = next(iter(self._nodes.present), None)
    return [one for one in self._maps.incarnations() if one == living or not self._nodes.is_routable(one)]


def _may_always_send(_self: Lane, _legs: Plan) -> bool:
    return True


def _acked_twice(self: PushJob, session: Session, data: bytes, content_type: str) -> None:
    """An ack does not end the wait for it."""
    if session in self.owing or session in self.unacked:
        self.owing.discard(session)
        self._record(session, ACKED, self.clock(), data, content_type)
        self._answer_if_complete()


async def _watch_without_the_first_change(self: StoreRouteFeed) -> None:
    """After a resync the watch begins one change too late."""
    if self.resyncs:
        self.table.revision += 1
    await _watch(self)


def _waits_for_nobody(_self: RouteAckBarrier, _batch: int) -> bool:
    """A client is told "connected" before routers' tables hold its session."""
    return False


def _marks_nobody(_self: RouteAckBarrier, _batch: int) -> None:
    """And no router knows that it lags."""


def _age_of_nothing(_self: Transit, _then_ns: int, _now_ns: int) -> int:
    """Time that a push spent in a buffer does not count."""
    return 0


def _remembers_nothing(_self: Dedup, _job: PushJob, _now_ns: int) -> None:
    """A repeat of a push_id is written again."""


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
    "sweep of a live node": Mutation({"registry.routes.RouteTable.ended": _ended_and_one_that_lives}, ("reset",)),
    "healing that overtakes": Mutation({"router.delivery.lanes.Lane.may_send": _may_always_send}, ("delay",)),
    "ack counted twice": Mutation({"gateway.delivery.push_job.PushJob.acked": _acked_twice}, ("delay",)),
    "a resync that drops an event": Mutation(
        {"registry.feed.StoreRouteFeed._watch": _watch_without_the_first_change}, ("break watch",)
    ),
    "retry without dedup": Mutation({"gateway.delivery.dedup.Dedup.take": _remembers_nothing}, ("block one way",)),
    "connected before it is reachable": Mutation(
        {f"{BARRIER}._is_waited_for": _waits_for_nobody, f"{BARRIER}._mark_lagging": _marks_nobody}, ("delay watch",)
    ),
    "time in buffers does not count": Mutation(
        {"gateway.delivery.transit.Transit.age": _age_of_nothing}, ("pause gateway",)
    ),
}
