"""The request heads of a crowd's clients, and where each of them goes."""

import time
from typing import Any
from urllib.parse import quote

from homing.cluster import devtoken

TOKEN_FOR = 86_400.0  # seconds


class Heads:
    """Made when a client dials; nothing is kept of them."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.protocol = str(told["protocol"])
        self._key = bytes.fromhex(told["key"])
        self._files = list(told["files"])
        query = "&".join(f"file={quote(file)}" for file in self._files)
        lines = [
            f"GET /ws{'?' + query if query else ''} HTTP/1.1",
            *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455's own; nobody looks whether two are the same
            *([f"Sec-WebSocket-Protocol: {self.protocol}"] if self.protocol else []),
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0",
            *("Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9", "Cache-Control: no-cache"),
        ]
        self._before = ("\r\n".join(lines) + "\r\n").encode()
        self.dial(told["urls"])

    def dial(self, urls: list[list[Any]]) -> None:
        """From now on, these."""
        self._addresses = [(str(host), int(port)) for host, port in urls]
        self._hosts = [f"Host: {host}:{port}\r\n".encode() for host, port in self._addresses]

    def address(self, user: int) -> tuple[str, int]:
        """Where this user dials."""
        return self._addresses[user % len(self._addresses)]

    def of(self, user: int) -> bytes:
        """The whole head. Without a key nobody asks for a token: a bare server."""
        host = self._hosts[user % len(self._hosts)]
        if not self._key:
            return self._before + host + b"\r\n"
        token = devtoken.sign(self._key, f"user-{user}", self._files, time.time(), TOKEN_FOR)
        return b"%b%bAuthorization: Bearer %b\r\n\r\n" % (self._before, host, token.encode())
