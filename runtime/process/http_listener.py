"""Shell: an HTTP listener of a service: one aiohttp application on one port."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from runtime.process.addresses import join_address
from runtime.process.listening import create_listener

GRACE = 2.0  # seconds for requests under way at a stop
HEAD_TIMEOUT: Final = 10.0  # seconds from a connection until its first request
KEEPALIVE_TIMEOUT: Final = 75.0  # seconds between two requests of a connection

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("homing.http")


class HttpListener:
    """Serves an application from `listen` to `close`."""

    def __init__(self, application: web.Application) -> None:
        self._awaited: dict[web.RequestHandler, asyncio.TimerHandle] = {}  # connections without a request so far
        application.middlewares.insert(0, self._note_request)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_log,
            handler_cancellation=True,  # a handler ends when its caller has gone, also while it writes nothing
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            shutdown_timeout=GRACE,
        )
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> str:
        """Open the port (0: a free one). The result is host:port. Raises OSError when the port is in use."""
        await self._runner.setup()
        self._server = await create_listener(self._connect, host, port)
        host, port = self._server.sockets[0].getsockname()[:2]
        return join_address(host, port)

    async def close(self) -> None:
        """Accept no more, and end requests under way after 2 seconds."""
        if self._server is not None:
            self._server.close()
        for timer in self._awaited.values():
            timer.cancel()
        await self._runner.cleanup()

    def _connect(self) -> web.RequestHandler:
        assert self._runner.server is not None
        connection = self._runner.server()
        timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self._check_request, connection)
        self._awaited[connection] = timer
        return connection

    def _check_request(self, connection: web.RequestHandler) -> None:
        del self._awaited[connection]
        if connection.transport is not None:
            connection.transport.abort()

    @web.middleware
    async def _note_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if (timer := self._awaited.pop(request.protocol, None)) is not None:
            timer.cancel()
        return await handler(request)


class _MalformedRequests(logging.Filter):
    """What cannot be read as HTTP is the client's fault: one line without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, HttpProcessingError):
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "a malformed HTTP request: %.100s", (str(error.message),)
            record.exc_info = record.exc_text = None
        return True


_log.addFilter(_MalformedRequests())
