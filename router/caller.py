"""Core: who makes a call of the API, and which calls that caller may make.

Rights are planned (docs/api.md, "Who may call"). Today every listener is on loopback and every call is made by
`LOOPBACK`. With bearer tokens and mTLS, a transport will derive the caller from the credential of a request, a
connection or a record; everything behind the transport takes a `Caller` already.

    push        Push, PushStream, Reply, Join, Leave
    presence    Presence, Locate, Watch of a user
    admin       Disconnect, Watch of the nodes
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from router.push import CallRefused

Right = Literal["push", "presence", "admin"]


class Caller(msgspec.Struct, frozen=True):
    """The author of a call, as its transport has authenticated it."""

    name: str  # "": a caller without a name; push_ids are unique for each name
    rights: frozenset[Right]

    def require(self, right: Right) -> None:
        """Raises CallRefused, PERMISSION_DENIED, when the caller does not have the right."""
        if right not in self.rights:
            name = repr(self.name) if self.name else "without a name"
            raise CallRefused("PERMISSION_DENIED", f"caller {name} does not have the right {right!r}")


LOOPBACK = Caller("", frozenset({"push", "presence", "admin"}))
"""The author of every call today: any process that reaches a loopback listener, or writes to the topic of commands."""

Authenticate = Callable[[object], Caller]
"""The caller of a gRPC call, an HTTP request or a Kafka record. Raises CallRefused, UNAUTHENTICATED."""


def loopback(_request: object) -> Caller:
    """The `Authenticate` of a listener that has no credentials to check."""
    return LOOPBACK
