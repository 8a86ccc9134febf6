"""Core: the plan of a call: one leg for each node that owns the target, by the route table."""

from collections.abc import Collection, Iterable

import msgspec

from homing.internal.v1 import node_pb2
from registry.model import Incarnation, SessionRoute
from registry.routes import RouteTable
from router.push import Target


class Leg(msgspec.Struct, frozen=True):
    """One node of a plan, and what the table knows of the target there."""

    incarnation: Incarnation
    known: tuple[SessionRoute, ...] = ()  # the target's sessions on this node; the table has none for a file
    scatter: bool = False  # not an owner by the table, but a node that holds sessions which etcd does not know yet


Plan = dict[Incarnation, Leg]


def plan(target: Target, table: RouteTable, scattering: Collection[Incarnation]) -> Plan:
    """A leg for each owner, then one for each scattering incarnation that is no owner (docs/design.md, "Scatter").

    A session that the table knows needs no scatter. Users, files and everyone always do: the table cannot tell whether
    it knows all of their sessions.
    """
    legs = {leg.incarnation: leg for leg in _owners(target, table)}
    if not (target.session and legs):
        for incarnation in scattering:
            legs.setdefault(incarnation, Leg(incarnation, scatter=True))
    return legs


def is_miss(legs: Plan) -> bool:
    """Whether the table knows no owner. A miss is final only after the table has caught up with etcd."""
    for leg in legs.values():  # noqa: SIM110 - a third of the time of all(...), on the path of every push
        if not leg.scatter:
            return False
    return True


def is_stale(target: Target, answer: node_pb2.PushAnswer) -> bool:
    """Whether a node that is not DONE shows that the table was behind. Any node may be without any session."""
    return answer.verdict != node_pb2.NOT_MINE or not target.everyone


def denied(leg: Leg, answer: node_pb2.PushAnswer, excepted: Collection[int]) -> list[SessionRoute]:
    """The routes of a leg whose node has answered without their sessions: closed just now, or never there.

    A node finds the sessions of a user by itself, so it may list as many as the table knows there, and others.
    """
    deliveries = answer.deliveries
    if len(deliveries) == 1 and deliveries[0].session == leg.known[0].sid and len(leg.known) == 1:
        return []  # the usual case, on the path of every push
    known = [route for route in leg.known if route.sid not in excepted]
    if answer.verdict == node_pb2.NOT_MINE:
        return known
    if answer.verdict != node_pb2.DONE or len(deliveries) < sum(count.sessions for count in answer.counts):
        return []  # not all are listed
    listed = {delivered.session for delivered in deliveries}
    return [route for route in known if route.sid not in listed]


def to_receivers(target: Target) -> node_pb2.Receivers:
    """The target as a message to nodes. A node finds its own sessions of a user or a file."""
    receivers = node_pb2.Receivers(namespace=target.namespace)
    if target.session:
        receivers.sessions.sids.append(target.session)
    elif target.user:
        receivers.user = target.user
    elif target.file:
        receivers.file = target.file
    else:
        receivers.everyone = True
    return receivers


def _owners(target: Target, table: RouteTable) -> Iterable[Leg]:
    if target.session:
        route = table.session(target.session)
        return [Leg(route.incarnation, (route,))] if route else []
    if target.user:
        return _by_incarnation(_in_namespace(table.user(target.user), target.namespace or "/"))
    if target.file:
        return map(Leg, table.file(target.file))
    return map(Leg, (*table.incarnations(), *table.lingering()))


def _by_incarnation(routes: list[SessionRoute]) -> list[Leg]:
    if len(routes) == 1:
        return [Leg(routes[0].incarnation, (routes[0],))]
    incarnations: dict[Incarnation, list[SessionRoute]] = {}
    for route in routes:
        incarnations.setdefault(route.incarnation, []).append(route)
    return [Leg(incarnation, tuple(known)) for incarnation, known in incarnations.items()]


def _in_namespace(routes: list[SessionRoute], namespace: str) -> list[SessionRoute]:
    return [route for route in routes if namespace in ("*", route.info.namespace)]
