"""Where the clients of a run connect, and what the server there expects of them."""

import base64
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from homing.cluster import devtoken

TOKEN_TTL = 3600.0  # seconds
FILE = "all"  # which all clients of a gateway join
OFFER = "permessage-deflate; client_max_window_bits"  # as browsers write it


class PeerEndpoint(NamedTuple):
    """The settings of a client process."""

    port: int
    path: str = "/"
    ca: str = ""  # the PEM file of the server's certificate; "": no TLS
    deflate: bool = False  # offer permessage-deflate
    key: str = ""  # in hex, what signs the tokens of homing.json clients; "": bare clients of an echo
    router: str = ""  # address of the router's gRPC, by which homing.json clients get their pushes
    host: str = "127.0.0.1"

    @property
    def greetings(self) -> int:
        """Messages by the server before a client may send."""
        return 1 if self.key else 0


def request_of(endpoint: PeerEndpoint, user: str) -> bytes:
    """An opening handshake, with a browser's usual headers."""
    query = f"?file={FILE}" if endpoint.key else ""
    lines = [
        f"GET {endpoint.path}{query} HTTP/1.1",
        f"Host: {endpoint.host}:{endpoint.port}",
        *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0",
        *("Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9", "Cache-Control: no-cache"),
        *([f"Sec-WebSocket-Extensions: {OFFER}"] if endpoint.deflate else []),
        *(_of_homing(endpoint, user) if endpoint.key else ()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _of_homing(endpoint: PeerEndpoint, user: str) -> Sequence[str]:
    token = devtoken.sign(bytes.fromhex(endpoint.key), user, [FILE], time.time(), TOKEN_TTL)
    return "Sec-WebSocket-Protocol: homing.json", f"Authorization: Bearer {token}"
