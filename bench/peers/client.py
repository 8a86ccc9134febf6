"""One WebSocket client of any server, at little cost: it counts messages and answers pings."""

import asyncio

from bench.cluster.load.client_frames import BINARY, PING, PONG, TEXT, masked_frame, parse_frames, split_response
from bench.cluster.load.client_tls import ClientTls


class ReceivedMessages:
    """The number of messages that all clients have received, and the one that waits for a higher number."""

    def __init__(self) -> None:
        self.count = 0
        self._awaited = 0
        self._reached: asyncio.Future[None] | None = None

    def add(self) -> None:
        """One more message."""
        self.count += 1
        if self._reached is not None and self.count >= self._awaited and not self._reached.done():
            self._reached.set_result(None)

    async def wait(self, count: int, timeout: float) -> None:
        """Wait for this number. TimeoutError: not within `timeout` seconds."""
        if self.count < count:
            self._awaited, self._reached = count, asyncio.get_running_loop().create_future()
            async with asyncio.timeout(timeout):
                await self._reached


class PeerClient(asyncio.Protocol):
    """Ready when the handshake has been answered and `greetings` messages have come."""

    __slots__ = ("_greetings", "_request", "_rest", "_tls", "_transport", "_upgraded", "deflate", "ready", "received")

    def __init__(self, request: bytes, received: ReceivedMessages, greetings: int, tls: ClientTls | None) -> None:
        self._request, self._greetings, self._tls = request, greetings, tls
        self.received = received
        self.deflate = self._upgraded = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""

    @property
    def resumed(self) -> bool:
        """Whether its handshake resumed a session."""
        return self._tls is not None and self._tls.resumed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        transport.write(self._request if self._tls is None else self._tls.begin())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._tls is not None:
            data = self._decrypted(self._tls, data)
        if data:
            self._rest += data
            if self._upgraded or self._read_response():
                self._read_frames()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the connection was lost before it was ready"))

    def send(self, data: bytes) -> None:
        """Send bytes, as records of TLS where that is spoken."""
        self._transport.write(data if self._tls is None else self._tls.send(data))

    def _decrypted(self, tls: ClientTls, data: bytes) -> bytes:
        was_established = tls.established
        plain, answer = tls.receive(data)
        if tls.established and not was_established:
            answer += tls.send(self._request)
        if answer:
            self._transport.write(answer)
        return plain

    def _read_response(self) -> bool:
        response = split_response(self._rest)
        if response is None:
            return False
        status, behind = response
        if status != 101:
            self.ready.set_exception(ConnectionError(f"the handshake was answered with {status}"))
            return False
        self.deflate = b"permessage-deflate" in self._rest[: len(self._rest) - len(behind)]
        self._upgraded, self._rest = True, behind
        self._become_ready()
        return True

    def _read_frames(self) -> None:
        frames, self._rest = parse_frames(self._rest)
        for opcode, payload in frames:
            if opcode == PING:
                self.send(masked_frame(PONG, payload))
            elif opcode not in (TEXT, BINARY):
                continue
            elif self._greetings:
                self._greetings -= 1
                self._become_ready()
            else:
                self.received.add()

    def _become_ready(self) -> None:
        if not self._greetings and not self.ready.done():
            self.ready.set_result(None)
