"""A small homing.json client: connect, join a file, send events, read pushes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

Message = dict[str, Any]


class Client:
    """One session. Messages that arrive while `join` waits for its reply are kept, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._pending: list[Message] = []
        self.ended = ""  # why no push comes any more

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, url: str, token: str) -> "Client":
        """Connect and wait for `hello`."""
        socket = await http.ws_connect(
            url, protocols=["homing.json"], headers={"Authorization": f"Bearer {token}"}, max_msg_size=1 << 22
        )
        client = cls(socket)
        hello = await client._receive()
        assert hello["type"] == "hello", hello
        return client

    async def join(self, file: str) -> None:
        """Join a file: every later push to the file reaches this client. ConnectionError: refused."""
        await self._socket.send_str(json.dumps({"type": "join", "file": file, "id": 1}))
        while (reply := await self._receive()).get("id") != 1:
            self._pending.append(reply)
        if reply["type"] != "ok":
            raise ConnectionError(f"join of {file} was refused: {reply}")

    async def send(self, event: str, file: str, data: object) -> None:
        """Send an event."""
        await self._socket.send_str(json.dumps({"type": "event", "event": event, "file": file, "data": data}))

    async def pushes(self) -> AsyncIterator[Message]:
        """The backend's pushes, in arrival order, until the connection ends or a message is refused; see `ended`."""
        for message in self._pending:
            if message["type"] == "event":
                yield message
        try:
            while (message := await self._receive(None))["type"] != "error":
                if message["type"] == "event":
                    yield message
            self.ended = f"the gateway refused a message: {message['code']}: {message['message']}"
        except ConnectionError as error:
            self.ended = str(error)

    async def close(self) -> None:
        """Close with code 1000."""
        await self._socket.close()

    async def _receive(self, timeout: float | None = 15) -> Message:
        frame = await self._socket.receive(timeout=timeout)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"the gateway closed with {self._socket.close_code} {frame.extra or ''}")
        reply: Message = json.loads(frame.data)
        return reply
