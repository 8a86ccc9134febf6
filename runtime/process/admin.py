"""Shell: a service's own HTTP listener: `/livez`, `/readyz`, `/metrics`. For the cluster's network only."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from observability.metrics import Exposition

GRACE = 2.0  # seconds for requests under way at a stop
MAX_BODY = 16 * 1024 * 1024  # bytes of one request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """Alive means that the loop turns; ready means that traffic may come, and `ready()` says why not."""

    def __init__(self, ready: Callable[[], str], exposition: Exposition) -> None:
        """`ready` answers "" when traffic may come, else the reason in words."""
        self._ready = ready
        self._exposition = exposition
        self._app = web.Application(client_max_size=MAX_BODY)
        self.add("GET", "/livez", self._livez)
        self.add("GET", "/readyz", self._readyz)
        self.add("GET", "/metrics", self._metrics)
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            handler_cancellation=True,  # a watch ends when its caller is gone, also while nothing is written
            shutdown_timeout=GRACE,
        )

    def add(self, method: str, path: str, handler: Handler) -> None:
        """One more route, before `listen`."""
        self._app.router.add_route(method, path, handler)

    async def listen(self, host: str, port: int) -> str:
        """Open the port (0: a free one); the answer is host:port. Raises OSError when it is in use."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        address = self._runner.addresses[0]
        return f"{address[0]}:{address[1]}"

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        why_not = self._ready()
        return web.json_response({"ready": not why_not, "why": why_not}, status=503 if why_not else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._exposition.text(), content_type="text/plain", charset="utf-8")
