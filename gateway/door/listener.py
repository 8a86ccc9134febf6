"""Shell: the one port for clients. Every request head is checked here, then its path's handler serves it.

A connection passes what is configured, in this order: a PROXY header, TLS, the request head.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import time

from gateway.door.answers import refused
from gateway.door.handshake import HandshakeLimits, HandshakeProtocol, PendingConnection
from gateway.door.proxied import ProxiedConnection
from gateway.door.proxies import NO_PROXIES, TrustedProxies
from gateway.door.routes import Routes
from gateway.door.socket_options import SocketOptions, set_options
from gateway.door.values import Refusal
from gateway.tls.contexts import Certificates
from gateway.tls.transport import TlsTransport
from observability.counters import Counters
from runtime.process.addresses import peer_address
from runtime.process.background_tasks import BackgroundTasks
from runtime.process.listening import create_listener

WAIT_READY = 5.0  # seconds for which clients wait in a lent socket at most

DEFAULT_OPTIONS = SocketOptions()

_TLS_ONLY = Refusal(400, "bad_request", "this port speaks TLS: https:// or wss://")


class ClientListener:
    """Listens, and owns every connection whose request is not answered yet."""

    def __init__(
        self,
        routes: Routes,
        limits: HandshakeLimits,
        counters: Counters,
        certificates: Certificates | None = None,
        proxies: TrustedProxies = NO_PROXIES,
        options: SocketOptions = DEFAULT_OPTIONS,
    ) -> None:
        """`certificates`: None: clients speak plain HTTP."""
        self._routes = routes
        self._limits = limits
        self._counters = counters
        self._certificates = certificates
        self._proxies = proxies
        self._options = options
        self.pending: set[PendingConnection] = set()  # connections that are not released yet
        self.idle: set[PendingConnection] = set()  # connections between two requests
        self._server: asyncio.Server | None = None
        self._tasks = BackgroundTasks()  # take over what was accepted last

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Open the port (0: a free one) and say which; raises OSError when it is in use."""
        self._server = await create_listener(self._accept, host, port, accepting=False)
        for sock in self._server.sockets:  # inherited by every connection
            set_options(sock, self._options)
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    async def accept(self) -> None:
        """Accept clients. A port of this process' own accepts from `listen` on, and clients get 503; in one that was
        lent they wait: whom they came for may have been another process."""
        if self._server is not None:
            await self._server.start_serving()

    async def accept_later(self) -> None:
        """Accept clients after some seconds in any case, so that they learn that this gateway is not ready."""
        await asyncio.sleep(WAIT_READY)
        await self.accept()

    def stop_listening(self) -> None:
        """Accept nobody new. Connections that are here go on, also those that the kernel has and nobody has accepted:
        closing the socket would reset them."""
        if self._server is not None:
            for sock in self._server.sockets:
                self._accept_waiting(sock.fileno())
            self._server.close()
            self._server = None

    def _accept_waiting(self, listening: int) -> None:
        with socket.socket(fileno=os.dup(listening)) as sock, contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = sock.accept()
                self._tasks.start(self._take(accepted))

    async def close(self) -> None:
        """Stop listening and turn away who is not released; released connections are not ours any more."""
        self.stop_listening()
        await self._tasks.close()
        for handler in self._routes.handlers():
            await handler.close()
        for request in [*self.pending, *self.idle]:
            request.abort()

    async def _take(self, accepted: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(self._accept, accepted)

    # The stages of a new connection ---------------------------------------------------------------------------------

    def _accept(self) -> asyncio.BaseProtocol:
        if len(self.pending) >= self._limits.max_pending:
            self._counters.handshakes_refused += 1
            return _Refused()
        began = asyncio.get_running_loop().time()
        if self._proxies.proxy_protocol:
            return _FirstLook(self, began)
        return self._secure(began, "")

    def begin(self, peer: str, began: float) -> asyncio.Protocol:
        """The first stage of a connection from this host. `began`: loop time."""
        if not self._proxies.trusts(peer):
            return self._secure(began, "")
        following = lambda address: self._secure(began, address)  # noqa: E731
        return ProxiedConnection(following, self._limits.head_seconds, self.pending)

    def _secure(self, began: float, address: str) -> asyncio.Protocol:
        """TLS if it is configured, then the request head. `address`: the client's by a PROXY header, or ""."""
        certificates = self._certificates
        if certificates is None:
            return HandshakeProtocol(self._routes, self._limits, self.pending, began, address, idle=self.idle)

        def make_upper(certificate: bytes | None) -> asyncio.Protocol:
            identity = certificates.identity(certificate)
            return HandshakeProtocol(self._routes, self._limits, self.pending, began, address, identity, self.idle)

        seconds = max(0.0, began + self._limits.head_seconds - asyncio.get_running_loop().time())
        buffers, context = certificates.buffers, certificates.context
        return TlsTransport(buffers, context, make_upper, _not_tls, seconds, self.pending, address)


def _not_tls() -> bytes:
    return refused(_TLS_ONLY, secrets.token_hex(8), time.time())


class _Refused(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[attr-defined]


class _FirstLook(asyncio.Protocol):
    """A connection whose peer is not known yet: whether it is a proxy decides what comes first."""

    def __init__(self, listener: ClientListener, began: float) -> None:
        self._listener = listener
        self._began = began

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        host = peer_address(transport).rpartition(":")[0].strip("[]")
        following = self._listener.begin(host, self._began)
        transport.set_protocol(following)
        following.connection_made(transport)
