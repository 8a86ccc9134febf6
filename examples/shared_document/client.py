"""A homing.json client in sixty lines: connect, join a file, send events, read pushes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

Message = dict[str, Any]


class Client:
    """One session. Messages that come while a join waits for its answer are kept, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._early: list[Message] = []

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, url: str, token: str) -> "Client":
        """Connected, that is: after `hello`."""
        socket = await http.ws_connect(
            url, protocols=["homing.json"], headers={"Authorization": f"Bearer {token}"}, max_msg_size=1 << 22
        )
        client = cls(socket)
        hello = await client._next()
        assert hello["type"] == "hello", hello
        return client

    async def join(self, file: str) -> None:
        """Joined, that is: no push to the file is missed from now on."""
        await self._socket.send_str(json.dumps({"type": "join", "file": file, "id": 1}))
        while (answer := await self._next()).get("id") != 1:
            self._early.append(answer)
        if answer["type"] != "ok":
            raise ConnectionError(f"join of {file} was refused: {answer}")

    async def send(self, event: str, file: str, data: object) -> None:
        """One event up."""
        await self._socket.send_str(json.dumps({"type": "event", "event": event, "file": file, "data": data}))

    async def pushes(self) -> AsyncIterator[Message]:
        """What the backend pushes, in arrival order, until the connection ends."""
        for message in self._early:
            if message["type"] == "event":
                yield message
        async for frame in self._socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                message = json.loads(frame.data)
                if message["type"] == "event":
                    yield message

    async def close(self) -> None:
        """Go, with close code 1000."""
        await self._socket.close()

    async def _next(self) -> Message:
        frame = await self._socket.receive(timeout=15)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"the gateway closed with {self._socket.close_code} {frame.extra or ''}")
        answer: Message = json.loads(frame.data)
        return answer
