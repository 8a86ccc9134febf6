"""Shell: listening sockets. Those that a parent process has lent are taken instead of new ones.

A parent that holds a socket lets it outlive the process that accepts from it: what waits in it is not reset when that
process ends, and goes to the next one.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from socket import socket

BACKLOG = 4096  # connections the kernel holds while the loop is busy; beyond, a client tries again after 1, 3, 7 s

_lent: dict[tuple[str, int], socket] = {}


def take_lent(sockets: Mapping[tuple[str, int], socket]) -> None:
    """From now on listeners for these addresses take these sockets."""
    _lent.update(sockets)


async def create_listener(
    make_protocol: Callable[[], asyncio.BaseProtocol],
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    handshake_timeout: float | None = None,
    accepting: bool = True,
) -> asyncio.Server:
    """A server on this address (port 0: a free one). OSError: it is in use.

    `accepting`: False: a lent socket is accepted from after `start_serving`; until then clients wait in it.
    """
    loop, lent = asyncio.get_running_loop(), _lent.pop((host, port), None)
    limit = handshake_timeout if tls is not None else None
    if lent is not None:
        return await loop.create_server(
            make_protocol,
            sock=lent,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=limit,
            start_serving=accepting,
        )
    return await loop.create_server(make_protocol, host, port, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=limit)
