"""Shell: the begin of a connection from a trusted proxy: its PROXY header, then what it passes on."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from gateway.door.proxy_header import BadProxyHeader, read_proxy_header
from runtime.process.addresses import join_address, peer_address

log = logging.getLogger(__name__)

MakeProtocol = Callable[[str], asyncio.Protocol]
"""Makes what follows the header, given the client's host:port, or "" when the connection is the proxy's own."""


class ProxiedConnection(asyncio.Protocol):
    """Owns the transport until the header is complete."""

    __slots__ = ("_data", "_make_next", "_pending", "_timer", "_transport")

    def __init__(self, make_next: MakeProtocol, seconds: float, pending: set[Any]) -> None:
        """`seconds`: for the header. `pending`: where this is until then."""
        self._make_next = make_next
        self._pending = pending
        self._data = b""
        self._transport: asyncio.Transport
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._pending.add(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            header = read_proxy_header(self._data)
        except BadProxyHeader as error:
            log.warning("a trusted proxy was not understood: %s", error, extra={"peer": peer_address(self._transport)})
            self.abort()
            return
        if header is None:
            return
        self._forget()
        following = self._make_next(join_address(*header.client) if header.client else "")
        self._transport.set_protocol(following)
        following.connection_made(self._transport)
        if rest := self._data[header.size :]:
            following.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def abort(self) -> None:
        """End now, without an answer: a proxy understands none."""
        self._transport.abort()

    def _forget(self) -> None:
        self._timer.cancel()
        self._pending.discard(self)
