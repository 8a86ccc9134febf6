"""What the door asks of what stands behind it."""

import asyncio
from typing import Protocol

from gateway.door.head import Head
from gateway.door.values import Arrival, Refusal
from gateway.wire.ports import Peer


class AdmissionPort(Protocol):
    """The gateway behind the door."""

    async def enter(self, arrival: Arrival) -> Peer | Refusal:
        """Admit one client: a session that is registered and reachable, an unidentified one, or a refusal (503 while
        draining or lapsed). The 101 is written after this returns. If the client goes away meanwhile, the door still
        calls the peer's `closed(1006, ...)`."""
        ...


class DevelopmentPages(Protocol):
    """What else the front door serves, over plain HTTP. The door judges every head first, and lends the transport."""

    def owns(self, path: str) -> bool:
        """Whether a request for this path is theirs."""
        ...

    def judge(self, head: Head) -> Refusal | None:
        """Why such a request is refused; None: `take` may follow."""
        ...

    def take(self, transport: asyncio.Transport, head: Head, behind: bytes) -> None:
        """Answer this one request and close; `behind` is what came behind its head. The transport is theirs now."""
        ...
