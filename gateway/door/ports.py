"""The contracts between the client port, what serves its paths, and the admission behind it."""

import asyncio
from typing import Protocol

from gateway.door.head import Head
from gateway.door.values import Arrival, Refusal
from gateway.identity.identity import Identity
from gateway.wire.ports import TransportHandler


class PendingRequest(Protocol):
    """One client connection whose request head is read and not answered yet (`gateway.door.handshake`)."""

    address: str  # the client's host:port
    certified: Identity | None  # who it is by its TLS certificate

    def refuse(self, refusal: Refusal) -> None:
        """Answer in plain HTTP and end."""
        ...

    def wait_for(self, answering: "asyncio.Task[None]") -> None:
        """Read nothing more; `answering` refuses or releases the client. When it takes too long it is cancelled and
        the client gets 503; when the client has sent too much meanwhile it gets 413."""
        ...

    def release(self) -> asyncio.Transport | None:
        """Give the transport away, its reading paused after `wait_for`. None: the client is gone, or was refused."""
        ...

    def follow(self, transport: asyncio.Transport, behind: bytes) -> None:
        """The request was answered on the transport that was released: read the next one. `behind`: its first bytes."""
        ...


class PathHandler(Protocol):
    """Serves one path, or several, of the client port."""

    def serve(self, request: PendingRequest, head: Head, behind: bytes) -> None:
        """Refuse the request, or release its transport, now or from a task. `behind`: bytes received after the head."""
        ...

    async def close(self) -> None:
        """End what is being served and was not released."""
        ...


class AdmissionPort(Protocol):
    """Decides who may come in (`gateway.authentication.Authentication`)."""

    async def enter(self, arrival: Arrival) -> TransportHandler | Refusal:
        """Admit one client: a connection whose session is registered and reachable, one without a session whose client
        must authenticate, or a refusal (503 while draining or lapsed). The 101 is written after this returns. If the
        client goes away meanwhile, the listener still calls the connection's `on_close(1006, "")`."""
        ...
