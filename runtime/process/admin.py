"""Shell: the admin listener of a service: `/livez`, `/readyz`, `/metrics`. For the cluster's own network only."""

from collections.abc import Awaitable, Callable, Collection

from aiohttp import web

from runtime.process.browser_requests import refuse_pages
from runtime.process.http_listener import HttpListener
from runtime.process.readiness import Readiness

CheckReadiness = Callable[[], Awaitable[Readiness]]
Scrape = Callable[[], Awaitable[bytes]]


class AdminListener:
    """Alive: the event loop runs. Ready: the service takes traffic; if not, `/readyz` answers 503, always with why."""

    def __init__(self, check: CheckReadiness, scrape: Scrape, hosts: Collection[str] = ()) -> None:
        """`scrape`: the metrics in Prometheus' text format. `hosts`: names by which it is reached, beside IP addresses
        and localhost."""
        self._check = check
        self._scrape = scrape
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
        readiness = await self._check()
        return web.json_response(readiness.as_json(), status=200 if readiness.ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=await self._scrape(), content_type="text/plain", charset="utf-8")
