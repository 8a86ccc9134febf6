"""Shell: the page to try it, `/homing.js`, tokens for development and calls to a router: only with `--dev`.

The request head was checked by our own parser; aiohttp serves this one request on its transport and closes.
"""

import logging
import time
from pathlib import Path

import aiohttp
import jwt
from aiohttp import web

from gateway.door.development import FILES, TOKEN, canonical, check_page
from gateway.door.head import Head
from gateway.door.ports import PendingRequest
from gateway.identity.tokens import Issuer

STATIC = Path(__file__).with_name("static")
TOKEN_SECONDS = 3600.0
CALL_SECONDS = 60.0  # beyond any wait for acks that a person tries
CLOSE_SECONDS = 1.0
CARRIED_UP = ("Content-Type", "traceparent", "X-Trace-ID")
CARRIED_DOWN = ("Content-Type", "Retry-After", "traceparent", "X-Trace-ID")
POLICY = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; frame-ancestors 'none'"

log = logging.getLogger(__name__)


class DevelopmentPages:
    """Serves what `--dev` adds to the client port (a `gateway.door.ports.PathHandler`)."""

    def __init__(self, issuer: Issuer, router: str, scheme: str = "http") -> None:
        """`issuer` signs the tokens; `router`: host:port of a router's HTTP address, "" for none; `scheme`: of the
        listener, http or https."""
        self._issuer = issuer
        self._scheme = scheme
        self._router = router
        self._files = {path: ((STATIC / name).read_bytes(), kind) for path, (name, kind) in FILES.items()}
        self._server = web.Server(self._serve, access_log=None)
        self._client: aiohttp.ClientSession | None = None

    def serve(self, request: PendingRequest, head: Head, behind: bytes) -> None:
        """Refuse the request, or answer it on its transport and close that."""
        refusal = check_page(head, self._scheme)
        if refusal is not None:
            request.refuse(refusal)
            return
        transport = request.release()
        if transport is None:
            return
        protocol = self._server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(canonical(head) + behind)

    async def close(self) -> None:
        """End what is being served."""
        await self._server.shutdown(CLOSE_SECONDS)
        if self._client is not None:
            await self._client.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path in self._files:
            body, kind = self._files[request.path]
            headers = {"Content-Type": kind, "Cache-Control": "no-store", "Content-Security-Policy": POLICY}
            return web.Response(body=body, headers=headers)
        if request.path == TOKEN:
            return self._sign(request)
        return await self._call(request)

    def _sign(self, request: web.BaseRequest) -> web.Response:
        """A token for `?user=`, with a grant for each `?file=`."""
        user = request.query.get("user", "")
        if not user:
            return _error(400, "bad_request", "user: name one, as in /dev/token?user=ada&file=notes")
        now = time.time()
        claims = {"sub": user, "iss": self._issuer.iss, "aud": self._issuer.aud, "iat": int(now)}
        claims |= {"exp": int(now + TOKEN_SECONDS), "files": request.query.getall("file", [])}
        token = jwt.encode(claims, self._issuer.key, algorithm=self._issuer.algorithm)
        return web.Response(text=token, headers={"Cache-Control": "no-store"})

    async def _call(self, request: web.BaseRequest) -> web.Response:
        """Carry a call to the router and its answer back, untouched."""
        if not self._router:
            return _error(503, "unavailable", "no router is known: set gateway.dev_router to its HTTP address")
        if self._client is None:
            self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(CALL_SECONDS))
        headers = {name: request.headers[name] for name in CARRIED_UP if name in request.headers}
        try:
            body = await request.read()
            url = f"http://{self._router}{request.path}"
            async with self._client.post(url, data=body, headers=headers) as answer:
                carried = {name: answer.headers[name] for name in CARRIED_DOWN if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=carried)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("the router did not answer the page: %s", error or type(error).__name__)
            return _error(503, "unavailable", f"no router answers at {self._router}")


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
