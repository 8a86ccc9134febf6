"""What the door asks of the house behind it."""

from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.wire.ports import Codec, Peer

if TYPE_CHECKING:
    import asyncio

    from gateway.door.head import Head


class Identity(msgspec.Struct, frozen=True):
    """Who a client is, from its token. `files` are grants: guids, or `prefix*`."""

    user: str
    files: tuple[str, ...]
    auth_type: str  # the issuer's name, as X-Auth-Type
    expires: float  # seconds since the Unix epoch

    def may_join(self, guid: str) -> bool:
        """Whether a grant covers this file."""
        return any(guid == grant or (grant.endswith("*") and guid.startswith(grant[:-1])) for grant in self.files)


class Arrival(msgspec.Struct, frozen=True):
    """A client whose request head and identity were judged good."""

    codec: Codec
    identity: Identity | None  # None: homing.* without a token; it must say `auth` within 5 s
    files: tuple[str, ...]  # to join at once (`?file=`), each already granted; without an identity not judged yet
    address: str  # the client's host:port
    traceparent: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """An answer in plain HTTP: status, our JSON error, extra headers."""

    status: int
    code: str  # protocol.md's word for it, e.g. unauthorized, forbidden, unavailable, not_found, bad_request
    message: str
    headers: tuple[tuple[str, str], ...] = ()


class House(Protocol):
    """The gateway behind the door."""

    async def enter(self, arrival: Arrival) -> Peer | Refusal:
        """Admit one client: a session that is registered and reachable, an unidentified one, or a refusal (503 while
        draining or lapsed). The 101 is written after this returns. If the client goes away meanwhile, the door still
        calls the peer's `closed(1006, ...)`."""
        ...


class Pages(Protocol):
    """What else the front door serves, over plain HTTP. The door judges every head first, and lends the transport."""

    def owns(self, path: str) -> bool:
        """Whether a request for this path is theirs."""
        ...

    def judge(self, head: "Head") -> Refusal | None:
        """Why such a request is refused; None: `take` may follow."""
        ...

    def take(self, transport: "asyncio.Transport", head: "Head", behind: bytes) -> None:
        """Answer this one request and close; `behind` is what came behind its head. The transport is theirs now."""
        ...
