"""Shell: the one port for clients. Every request head is checked here, then its path's handler serves it."""

import asyncio
import socket

from gateway.door.handshake import HandshakeLimits, HandshakeProtocol
from gateway.door.routes import Routes

TCP_NOTSENT_LOWAT = 25  # Linux, tcp(7); Python 3.11's socket module has no name for it
UNSENT_IN_KERNEL = 128 * 1024  # bytes that the kernel takes for one client beyond what is on the wire
BACKLOG = 4096  # connections the kernel holds while the loop is busy with a storm of others


class ClientListener:
    """Listens, and owns every connection whose request is not answered yet."""

    def __init__(self, routes: Routes, limits: HandshakeLimits) -> None:
        self._routes = routes
        self._limits = limits
        self.pending: set[HandshakeProtocol] = set()  # connections that are not released yet
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Open the port (0: a free one) and say which; raises OSError when it is in use."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port, backlog=BACKLOG)
        for sock in self._server.sockets:  # inherited by every connection
            sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_IN_KERNEL)
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    def stop_listening(self) -> None:
        """Accept nobody new; connections that are here go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """Stop listening and turn away who is not released; released connections are not ours any more."""
        self.stop_listening()
        for handler in self._routes.handlers():
            await handler.close()
        for request in list(self.pending):
            request.abort()

    def _accept(self) -> HandshakeProtocol:
        return HandshakeProtocol(self._routes, self._limits, self.pending)
