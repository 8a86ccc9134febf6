"""The page for development on real sockets: the door judges each head first, and serves nothing of it unasked."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import jwt
import pytest
from aiohttp import web

from gateway.door.development import is_page
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.pages import DevelopmentPages
from gateway.door.routes import Routes
from gateway.identity.tokens import Issuer
from observability import names
from observability.counters import counters

ISSUER = Issuer("dev", "HS256", b"a secret for tests only, 32 bytes", "homing-dev", "homing")


class Backend:
    """Stands where a router's HTTP address is."""

    def __init__(self) -> None:
        self.heard = []
        self.address = ""

    async def serve(self, request: web.BaseRequest) -> web.Response:
        self.heard.append((request.method, request.path, dict(request.headers), await request.read()))
        headers = {"Retry-After": "2", "X-Secret": "not for pages"}
        return web.Response(status=429, body=b'{"error":{}}', content_type="application/json", headers=headers)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend()
    runner = web.ServerRunner(web.Server(backend.serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    backend.address = f"{host}:{port}"
    yield backend
    await runner.cleanup()


class Served:
    def __init__(self, pages: DevelopmentPages | None) -> None:
        routes = Routes({}, ((is_page, pages),) if pages is not None else ())
        self.listener = ClientListener(routes, HandshakeLimits(head_seconds=0.5), counters(names.GATEWAY))
        self.port = 0

    async def __aenter__(self):
        _, self.port = await self.listener.listen("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        await self.listener.close()

    async def raw(self, data: bytes) -> bytes:
        """Everything the listener answers until it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(5):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    async def get(self, path: str, **headers: str) -> bytes:
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *(f"{k}: {v}" for k, v in headers.items())]
        return await self.raw("\r\n".join([*lines, "", ""]).encode())


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_the_page_and_its_module_are_served_and_close_the_connection(backend):
    async with Served(DevelopmentPages(ISSUER, backend.address)) as served:
        page = await served.get("/", Connection="keep-alive")
        assert status(page) == 200
        assert b"Connection: close" in page
        assert b'src="/page.js"' in page
        for path, kind in (
            ("/homing.js", b"text/javascript"),
            ("/json_fault.js", b"text/javascript"),
            ("/page.js", b"text/javascript"),
            ("/page.css", b"text/css"),
        ):
            answer = await served.get(path)
            assert (status(answer), kind in answer) == (200, True)
        assert not served.listener.pending


async def test_a_token_of_the_development_issuer_with_its_grants():
    async with Served(DevelopmentPages(ISSUER, "")) as served:
        answer = await served.get("/dev/token?user=ad%C3%A0&file=a&file=b%26c")
        head, _, token = answer.partition(b"\r\n\r\n")
        assert b"no-store" in head
        claims = jwt.decode(token, ISSUER.key, algorithms=["HS256"], audience="homing")
        assert (claims["sub"], claims["files"], claims["iss"]) == ("adà", ["a", "b&c"], "homing-dev")
        assert status(await served.get("/dev/token")) == 400
        assert status(await served.get("/dev/token?user=a", Origin="http://evil.example")) == 403


async def test_calls_go_to_the_router_and_come_back_as_it_answered(backend):
    async with Served(DevelopmentPages(ISSUER, backend.address)) as served, aiohttp.ClientSession() as client:
        origin = f"http://127.0.0.1:{served.port}"
        headers = {"Origin": origin, "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "Cookie": "c=1"}
        body = {"event": "x" * 200_000}  # more than comes in one read
        async with client.post(f"{origin}/v1/push", json=body, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (429, b'{"error":{}}')
            assert answer.headers["Retry-After"] == "2"
            assert "X-Secret" not in answer.headers
        ((method, path, heard, sent),) = backend.heard
        assert (method, path, json.loads(sent)) == ("POST", "/v1/push", body)
        assert heard["traceparent"] == headers["traceparent"]
        assert "Cookie" not in heard


async def test_without_a_router_a_call_is_unavailable(backend):
    for address in ("", "127.0.0.1:1"):
        async with Served(DevelopmentPages(ISSUER, address)) as served, aiohttp.ClientSession() as client:
            answer = await client.post(f"http://127.0.0.1:{served.port}/v1/push", json={})
            assert (answer.status, (await answer.json())["error"]["code"]) == (503, "unavailable")


async def test_row_08_a_request_behind_a_page_reaches_no_other_parser(backend):
    async with Served(DevelopmentPages(ISSUER, backend.address)) as served:
        host = f"Host: 127.0.0.1:{served.port}\r\n".encode()
        smuggled = b"POST /v1/push HTTP/1.1\r\n" + host + b"Content-Length: 2\r\n\r\n{}"
        answer = await served.raw(b"GET /homing.js HTTP/1.1\r\n" + host + b"\r\n" + smuggled)
        assert answer.count(b"HTTP/1.1 ") <= 1
        both = b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
        assert status(await served.raw(b"POST /v1/push HTTP/1.1\r\n" + host + both)) == 400
        assert backend.heard == []


@pytest.mark.parametrize("path", ["/", "/homing.js", "/dev/token?user=a", "/v1/push"])
async def test_without_dev_nothing_of_it_is_there(path):
    async with Served(None) as served:
        assert status(await served.get(path)) == 404
