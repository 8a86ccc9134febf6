"""aiohttp's server, on uvloop: `python -m bench.peers.aiohttp_process`, see `bench.peers`.

It has no call that sends to many: a loop of `send_str`.
"""

import asyncio
from typing import Any

import uvloop
from aiohttp import WSMsgType, web

from bench.peers.server_settings import BACKLOG, HOST, MAX_MESSAGE, MESSAGE, ServerSettings, command_line_settings


class AiohttpHandler:
    """Handles the connections of one server."""

    def __init__(self, deflate: bool) -> None:
        self._deflate = deflate
        self._connections: set[Any] = set()

    async def handle(self, request: Any) -> Any:  # noqa: ANN401 - aiohttp is in another environment
        """One connection, until it is closed."""
        connection = web.WebSocketResponse(compress=self._deflate, max_msg_size=MAX_MESSAGE)
        await connection.prepare(request)
        self._connections.add(connection)
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                await self._answer(connection, message.data)
        self._connections.discard(connection)
        return connection

    async def _answer(self, connection: Any, text: str) -> None:  # noqa: ANN401
        if len(text) > 1:
            await connection.send_str(text)
            return
        for each in self._connections:
            await each.send_str(MESSAGE)


async def serve(settings: ServerSettings) -> None:
    """Serve until killed."""
    application = web.Application()
    application.router.add_get("/", AiohttpHandler(settings.deflate).handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, ssl_context=settings.tls(), backlog=BACKLOG).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(command_line_settings()))
