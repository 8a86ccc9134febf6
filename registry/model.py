"""The registry's values: a node, its incarnation, a session.

An *incarnation* is one node under one epoch. The epoch is the create-revision of the node's key: unique, and only
rising. Each key that a node registers names the incarnation, so a node removes only what it owns, and one watch event
ends everything that a dead node has registered (docs/design.md, "Keys").
"""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

Address = Annotated[str, Meta(max_length=512)]


class Incarnation(NamedTuple):
    """A node under one epoch: the target of a route, and the fence of all that the node registers."""

    node: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.node}.{self.epoch}"


class Node(
    msgspec.Struct, frozen=True, rename={"client_url": "client", "node_address": "port", "admin_address": "admin"}
):
    """The value of `nodes/<node_id>`: the addresses of a gateway. Written under the node's lease: absent means dead.

    The names in etcd are those of layout 1, so that processes of different versions read each other's values.
    """

    client_url: Address  # for clients: ws://host:port/ws
    node_address: Address  # for routers: host:port of the gRPC listener
    admin_address: Address  # host:port of /livez, /readyz and /metrics
    machine: Annotated[int, Meta(ge=0, lt=1024)]  # the leased machine id
    version: Annotated[str, Meta(max_length=128)]
    draining: bool = False
    restoring: bool = False  # begun with sessions of the incarnation before, which are not all registered yet


class SessionInfo(msgspec.Struct, frozen=True, gc=False):
    """The value of a session's key. Nothing in it changes while the session lives."""

    namespace: Annotated[str, Meta(max_length=256)]
    auth_type: Annotated[str, Meta(max_length=64)]
    connected_at: Annotated[int, Meta(ge=0, lt=2**47)]  # ms since the Unix epoch


class SessionRoute(msgspec.Struct, frozen=True, gc=False):
    """The route of one registered session: `sid` to incarnation.

    Of several routes with one `sid`, the one with the newest `create_revision` counts. A router holds half a million
    routes: structs, which the garbage collector does not visit.
    """

    sid: int
    user: str
    incarnation: Incarnation
    create_revision: int  # of the session's key
    info: SessionInfo
