"""Core: a target and the table become one leg per owning node."""

from collections.abc import Collection, Iterable

import msgspec

from homing.internal.v1 import node_pb2
from registry.model import Incarnation, SessionRoute
from registry.routes import RouteTable
from router.push import Target


class Leg(msgspec.Struct, frozen=True):
    """One node that a call goes to, and what the table knows of the target there."""

    incarnation: Incarnation
    known: tuple[SessionRoute, ...] = ()  # the target's sessions there; a file's are not known to the table
    scatter: bool = False  # not an owner by the table: a node that holds sessions etcd does not know yet


Plan = dict[Incarnation, Leg]


def plan(target: Target, table: RouteTable, scattering: Collection[Incarnation]) -> Plan:
    """A leg per incarnation that owns the target, then one per scattering incarnation that does not (design §4,
    "scatter").

    A session that the table knows needs no scatter; users and files always do, because the table cannot tell that it
    knows them all.
    """
    legs = {leg.incarnation: leg for leg in _owners(target, table)}
    if not (target.session and legs):
        for incarnation in scattering:
            legs.setdefault(incarnation, Leg(incarnation, scatter=True))
    return legs


def missed(legs: Plan) -> bool:
    """Whether the table knows no owner at all: it must catch up before that may be believed."""
    return all(leg.scatter for leg in legs.values())


def receivers(target: Target) -> node_pb2.Receivers:
    """The target as the node port says it: a node finds its own sessions of a user or file by itself."""
    message = node_pb2.Receivers(namespace=target.namespace)
    if target.session:
        message.sessions.sids.append(target.session)
    elif target.user:
        message.user = target.user
    elif target.file:
        message.file = target.file
    else:
        message.everyone = True
    return message


def _owners(target: Target, table: RouteTable) -> Iterable[Leg]:
    if target.session:
        route = table.session(target.session)
        return [Leg(route.incarnation, (route,))] if route else []
    if target.user:
        return _by_incarnation([route for route in table.user(target.user) if _in_namespace(route, target.namespace)])
    if target.file:
        return map(Leg, table.file(target.file))
    return map(Leg, (*table.incarnations(), *table.lingering()))


def _by_incarnation(known: list[SessionRoute]) -> list[Leg]:
    if len(known) == 1:
        return [Leg(known[0].incarnation, (known[0],))]
    incarnations: dict[Incarnation, list[SessionRoute]] = {}
    for route in known:
        incarnations.setdefault(route.incarnation, []).append(route)
    return [Leg(incarnation, tuple(there)) for incarnation, there in incarnations.items()]


def _in_namespace(route: SessionRoute, namespace: str) -> bool:
    return namespace == "*" or route.info.namespace == (namespace or "/")
