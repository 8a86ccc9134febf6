"""Shell: the admin listener of a service: `/livez`, `/readyz`, `/metrics`. For the cluster's own network only."""

from collections.abc import Callable, Collection

from aiohttp import web

from observability.metrics import Exposition
from runtime.process.browser_requests import refuse_pages
from runtime.process.http_listener import HttpListener


class AdminListener:
    """Alive: the event loop runs. Ready: the service accepts traffic; if not, `/readyz` answers 503 and why."""

    def __init__(self, why_not_ready: Callable[[], str], exposition: Exposition, hosts: Collection[str] = ()) -> None:
        """`why_not_ready`: "" when traffic may come, else the reason in words. `hosts`: names by which it is reached,
        beside IP addresses and localhost."""
        self._why_not_ready = why_not_ready
        self._exposition = exposition
        application = web.Application(middlewares=[refuse_pages(hosts)])
        for path, handler in (("/livez", self._livez), ("/readyz", self._readyz), ("/metrics", self._metrics)):
            application.router.add_get(path, handler)
        self._listener = HttpListener(application)

    async def listen(self, host: str, port: int) -> str:
        """Open the port (0: a free one). The result is host:port. Raises OSError when the port is in use."""
        return await self._listener.listen(host, port)

    async def close(self) -> None:
        await self._listener.close()

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        why_not = self._why_not_ready()
        return web.json_response({"ready": not why_not, "why": why_not}, status=503 if why_not else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._exposition.text(), content_type="text/plain", charset="utf-8")
