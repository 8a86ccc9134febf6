"""Shell: an HTTP listener of a service: one aiohttp application on one port."""

from aiohttp import web

from runtime.process.addresses import join_address

GRACE = 2.0  # seconds for requests under way at a stop


class HttpListener:
    """Serves an application from `listen` to `close`."""

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,  # a handler ends when its caller has gone, also while it writes nothing
            shutdown_timeout=GRACE,
        )

    async def listen(self, host: str, port: int) -> str:
        """Open the port (0: a free one). The result is host:port. Raises OSError when the port is in use."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        host, port = self._runner.addresses[0][:2]
        return join_address(host, port)

    async def close(self) -> None:
        """Accept no more, and end requests under way after 2 seconds."""
        await self._runner.cleanup()
