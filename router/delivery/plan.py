"""Core: a target and the table become one leg per owning node."""

from collections.abc import Collection, Iterable

import msgspec

from homing.internal.v1 import node_pb2
from registry.model import Life, SessionRoute
from registry.routes import RouteTable
from router.push import Target


class Leg(msgspec.Struct, frozen=True):
    """One node that a call goes to, and what the table knows of the target there."""

    life: Life
    known: tuple[SessionRoute, ...] = ()  # the target's sessions there; a file's are not known to the table
    scatter: bool = False  # not an owner by the table: a node that holds sessions etcd does not know yet


Plan = dict[Life, Leg]


def plan(target: Target, table: RouteTable, scattering: Collection[Life]) -> Plan:
    """A leg per life that owns the target, then one per scattering life that does not (design §4, "scatter").

    A session that the table knows needs no scatter; users and files always do, because the table cannot tell that it
    knows them all.
    """
    legs = {leg.life: leg for leg in _owners(target, table)}
    if not (target.session and legs):
        for life in scattering:
            legs.setdefault(life, Leg(life, scatter=True))
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
        return [Leg(route.life, (route,))] if route else []
    if target.user:
        return _by_life([route for route in table.user(target.user) if _in_namespace(route, target.namespace)])
    if target.file:
        return map(Leg, table.file(target.file))
    return map(Leg, (*table.lives(), *table.lingering()))


def _by_life(known: list[SessionRoute]) -> list[Leg]:
    if len(known) == 1:
        return [Leg(known[0].life, (known[0],))]
    lives: dict[Life, list[SessionRoute]] = {}
    for route in known:
        lives.setdefault(route.life, []).append(route)
    return [Leg(life, tuple(there)) for life, there in lives.items()]


def _in_namespace(route: SessionRoute, namespace: str) -> bool:
    return namespace == "*" or route.info.namespace == (namespace or "/")
