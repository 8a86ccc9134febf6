"""The least that a delivery takes: a loop of `send()` over blocking sockets of the standard library, or over its TLS.

`python -m bench.peers.bare_process`, see `bench.peers`. It reads no frames: a short read sends a frame of 200 bytes to
all connections, a longer one to its own.
"""

import selectors
import socket
import ssl

from bench.peers.server_settings import BACKLOG, HOST, MESSAGE, command_line_settings

RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
FRAME = b"\x81\x7e" + len(MESSAGE).to_bytes(2, "big") + MESSAGE.encode()
SHORT = 7  # bytes of a client's frame with one byte


class BareServer:
    """All connections, and what has become readable."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._ready = selectors.DefaultSelector()
        self._listener = socket.create_server((HOST, 0), backlog=BACKLOG)
        self._connections: list[socket.socket] = []
        self._ready.register(self._listener, selectors.EVENT_READ)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Serve until killed."""
        while True:
            for key, _ in self._ready.select():
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        connection.recv(4096)
        connection.send(RESPONSE)
        self._connections.append(connection)
        self._ready.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        data = connection.recv(65_536)
        if not data:
            self._ready.unregister(connection)
            self._connections.remove(connection)
            connection.close()
        elif len(data) > SHORT:
            connection.send(FRAME)
        else:
            for each in self._connections:
                each.send(FRAME)


if __name__ == "__main__":
    server = BareServer(command_line_settings().tls())
    print(server.port, flush=True)
    server.run()
