"""The registry's values: a node, one incarnation of it, a session, a file.

An *incarnation* is one node at one epoch. The epoch is the create-revision of the node's key, so it is unique and only
ever rises; everything a node registers carries its incarnation in the key, which makes "remove only what you own" true
by construction and lets one watch event end everything that a dead node registered (design §4).
"""

from typing import NamedTuple

import msgspec


class Incarnation(NamedTuple):
    """One incarnation of one node: what a route points at, and the fence for all that the node registered."""

    node: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.node}.{self.epoch}"


class Node(msgspec.Struct, frozen=True):
    """The value of `nodes/<node_id>`: where a gateway is reached. Written with its lease, so absent means dead."""

    client: str  # what clients dial, as a URL: ws://host:port/ws
    port: str  # the node port, host:port (gRPC, routers and other gateways only)
    admin: str  # health and readiness, host:port
    machine: int  # the leased machine id, 0..1023
    version: str
    draining: bool = False


class SessionInfo(msgspec.Struct, frozen=True, gc=False):
    """The value of a session's key: what presence and the sweeper need, nothing that changes."""

    namespace: str
    auth_type: str
    connected_at: int  # ms since the Unix epoch


class SessionRoute(msgspec.Struct, frozen=True, gc=False):
    """One registered session: `sid -> incarnation`. `created` is its key's create-revision: the newest live one is the
    route.

    A router holds half a million of these, so they are structs that the garbage collector need not visit.
    """

    sid: int
    user: str
    incarnation: Incarnation
    created: int
    info: SessionInfo
