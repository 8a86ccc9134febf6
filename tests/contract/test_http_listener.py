"""HTTP listeners on real sockets, under clients that never finish and bodies that are not what they say."""

import asyncio
import contextlib
import gzip
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from runtime.process import http_listener
from runtime.process.http_listener import HttpListener
from runtime.process.request_bodies import BodyRefused, RequestBodies, TooManyBodies


@pytest.fixture
async def serve() -> AsyncIterator[Callable]:
    """Starts a listener that answers with the size of the body, or why it is refused; the result is its port."""
    listeners: list[HttpListener] = []

    async def start(bodies: RequestBodies) -> int:
        async def answer(request: web.Request) -> web.Response:
            try:
                return web.Response(text=str(len(await bodies.read(request))))
            except BodyRefused as refused:
                return web.Response(text=f"{type(refused).__name__}: {refused}", status=400)

        application = web.Application()
        application.router.add_post("/", answer)
        listeners.append(HttpListener(application))
        return int((await listeners[-1].listen("127.0.0.1", 0)).rpartition(":")[2])

    yield start
    for listener in listeners:
        await listener.close()


async def ask(port: int, data: bytes) -> bytes:
    """What the listener answers, until it closes or a second response would begin."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
    writer.close()
    return head.split(b"\r\n")[0] + b" | " + answer


def post(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST / HTTP/1.1", b"Host: localhost", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_body_is_read_also_a_compressed_one(serve) -> None:
    port = await serve(RequestBodies(1000))
    assert await ask(port, post(b"x" * 1000)) == b"HTTP/1.1 200 OK | 1000"
    assert await ask(port, post(gzip.compress(b"x" * 900), b"Content-Encoding: gzip")) == b"HTTP/1.1 200 OK | 900"


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
async def test_garbage_that_calls_itself_compressed_is_refused(serve, encoding: bytes) -> None:
    answer = await ask(await serve(RequestBodies(1000)), post(b"garbage", b"Content-Encoding: " + encoding))
    assert b"BodyRefused: is not what its Content-Encoding" in answer


async def test_a_body_over_the_bound_is_refused_also_when_it_was_small_before(serve) -> None:
    port = await serve(RequestBodies(1000))
    assert await ask(port, post(b"x" * 1001)) == b"HTTP/1.1 400 Bad Request | BodyRefused: more than 1000 bytes"
    bomb = post(gzip.compress(bytes(10_000_000)), b"Content-Encoding: gzip")
    assert b"more than 1000 bytes" in await ask(port, bomb)


async def test_a_body_that_does_not_arrive_is_refused(serve) -> None:
    port = await serve(RequestBodies(1000, timeout=0.01))
    assert b"BodyRefused: did not arrive within 0.01 s" in await ask(port, CHUNKED + b"5\r\nhello\r\n")


async def test_unfinished_bodies_share_a_budget(serve) -> None:
    bodies = RequestBodies(1000, budget=1200)
    port = await serve(bodies)
    _, unfinished = await asyncio.open_connection("127.0.0.1", port)
    unfinished.write(CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n")
    while bodies._left == 1200:
        await asyncio.sleep(0)
    assert TooManyBodies.__name__.encode() in await ask(port, post(b"x" * 300))
    assert await ask(port, post(b"x" * 200)) == b"HTTP/1.1 200 OK | 200"
    unfinished.close()
    while bodies._left < 1200:
        await asyncio.sleep(0)
    assert await ask(port, post(b"x" * 1000)) == b"HTTP/1.1 200 OK | 1000"


async def test_a_connection_without_a_request_is_closed_and_one_with_is_not(serve, monkeypatch) -> None:
    monkeypatch.setattr(http_listener, "HEAD_TIMEOUT", 0.2)
    port = await serve(RequestBodies(1000))
    slow, writer = await asyncio.open_connection("127.0.0.1", port)
    busy, asking = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: loc")
    asking.write(post(b"x"))
    await busy.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionResetError):  # an abort is a reset, or looks like an end
            assert await slow.read() == b""
    asking.write(post(b"xy"))
    assert b"200 OK" in await busy.readuntil(b"\r\n\r\n")
    asking.close()
    writer.close()


async def test_what_is_not_http_is_one_line_without_a_traceback(serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "homing.http")
    port = await serve(RequestBodies(1000))
    assert b"400" in await ask(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n")
    lines = [(record.levelname, record.exc_info) for record in caplog.records if record.name == "homing.http"]
    assert lines == [("INFO", None)]
