"""The opening handshake of each load client, and the address that the client connects to."""

import time
from typing import Any
from urllib.parse import quote

from homing.cluster import devtoken

TOKEN_TTL = 86_400.0  # seconds


class Handshakes:
    """Builds each request when its client connects; keeps none. `settings`: urls, key, protocol, files, and perhaps
    file_members: so many users with neighbouring numbers join a file of their own, besides `files`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.protocol = str(settings["protocol"])
        self._key = bytes.fromhex(settings["key"])
        self._files = list(settings["files"])
        self._file_members = int(settings.get("file_members", 0))
        lines = [
            *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455's example; gateways do not compare keys
            *([f"Sec-WebSocket-Protocol: {self.protocol}"] if self.protocol else []),
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0",
            *("Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9", "Cache-Control: no-cache"),
        ]
        self._common = ("\r\n".join(lines) + "\r\n").encode()
        self._first_line = self._make_first_line(self._files)
        self.set_urls(settings["urls"])

    def set_urls(self, urls: list[list[Any]]) -> None:
        """Set the addresses of later connects. `urls`: [host, port] each."""
        self._addresses = [(str(host), int(port)) for host, port in urls]
        self._hosts = [f"Host: {host}:{port}\r\n".encode() for host, port in self._addresses]

    def address(self, user: int) -> tuple[str, int]:
        """The address that this user connects to."""
        return self._addresses[user % len(self._addresses)]

    def request(self, user: int) -> bytes:
        """The whole request. Without a key the request has no token, for a baseline server."""
        host = self._hosts[user % len(self._hosts)]
        files, first_line = self._files, self._first_line
        if self._file_members:
            files = [*files, f"document-{user // self._file_members}"]
            first_line = self._make_first_line(files)
        if not self._key:
            return first_line + self._common + host + b"\r\n"
        token = devtoken.sign(self._key, f"user-{user}", files, time.time(), TOKEN_TTL)
        return b"%b%b%bAuthorization: Bearer %b\r\n\r\n" % (first_line, self._common, host, token.encode())

    def _make_first_line(self, files: list[str]) -> bytes:
        query = "&".join(f"file={quote(file)}" for file in files)
        return f"GET /ws{'?' + query if query else ''} HTTP/1.1\r\n".encode()
