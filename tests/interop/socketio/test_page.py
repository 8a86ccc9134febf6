"""socket.io-client's own bundles in Chromium, on a page of another origin than the gateways'."""

import asyncio
import functools
import http.server
import secrets
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.interop.socketio.driven import FOLDER
from tests.interop.socketio.rig import HomingRig, homing_rig
from tests.support.servers import Server

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [
    pytest.mark.socketio,
    pytest.mark.browser,
    pytest.mark.timeout(90),
    pytest.mark.asyncio(loop_scope="module"),
]
BUNDLES = ("socket.io.min.js", "socket.io.msgpack.min.js")
CONNECT = """
([url, options]) => {
  const events = (window.events = []);
  const socket = (window.socket = io(url, options));
  socket.on("connect", () => events.push(["connect", socket.id, socket.io.engine.transport.name]));
  socket.on("connect_error", ({ message }) => events.push(["connect_error", message]));
  socket.io.engine.on("upgrade", ({ name }) => events.push(["upgrade", name]));
  const listed = (arg) => (arg instanceof ArrayBuffer ? [...new Uint8Array(arg)] : arg);
  socket.onAny((name, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : null;
    events.push(["received", name, ...args.map(listed)]);
    ack?.("from the page");
  });
}
"""
NEXT = """
(kind) => {
  const at = events.findIndex(([one]) => one === kind);
  return at < 0 ? null : events.splice(at, 1)[0];
}
"""
EMIT = "([name, ...args]) => new Promise((done) => socket.emit(name, new Uint8Array(args).buffer, done))"


class _Files(http.server.SimpleHTTPRequestHandler):
    """The bundles, and a page for each."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        bundle = self.path.removeprefix("/page/")
        if bundle == self.path:
            super().do_GET()
            return
        page = f'<!doctype html><link rel="icon" href="data:,"><script src="/{bundle}"></script>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


@contextmanager
def pages() -> Iterator[str]:
    """A server for the pages; its origin."""
    handler = functools.partial(_Files, directory=str(FOLDER / "node_modules" / "socket.io-client" / "dist"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def origin(installed: None) -> Iterator[str]:
    with pages() as origin:
        yield origin


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def allowing(
    origin: str, tmp_path_factory: pytest.TempPathFactory, etcd: Server, redis: Server
) -> AsyncIterator[HomingRig]:
    """Gateways that allow pages of this origin alone."""
    async with homing_rig(tmp_path_factory.mktemp("page"), etcd, redis, origin) as made:
        yield made


@asynccontextmanager
async def opened(origin: str, bundle: str, rig: HomingRig, **options: object) -> "AsyncIterator[Page]":
    """Chromium on a page that connects at once."""
    async_api = pytest.importorskip("playwright.async_api", reason="`make browser` installs playwright")
    chromium = shutil.which("chromium")
    assert chromium is not None, "no chromium on PATH: `make browser` installs it"
    async with async_api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"{origin}/page/{bundle}")
        await page.evaluate(CONNECT, [rig.url, options])
        yield page
        await browser.close()


async def following(page: "Page", kind: str) -> list[object]:
    """The next event of this kind."""
    async with asyncio.timeout(15):
        handle = await page.wait_for_function(NEXT, arg=kind)
        return list(await handle.json_value())


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("credentials", [False, True], ids=["plain", "credentials"])
async def test_a_page_polls_upgrades_and_speaks_both_ways(
    allowing: HomingRig, origin: str, bundle: str, credentials: bool
) -> None:
    user = f"page-{secrets.token_hex(4)}"
    auth, backend = allowing.auth(user, f"doc-{user}"), allowing.backend
    async with opened(origin, bundle, allowing, auth=auth, withCredentials=credentials) as page:
        _, sid, transport = await following(page, "connect")
        assert transport in ("polling", "websocket")
        assert await following(page, "upgrade") == ["upgrade", "websocket"]
        asking = asyncio.create_task(page.evaluate(EMIT, ["save", 1, 2, 255]))
        event = await backend.event(user)
        assert event[:4] == (sid, "/", "save", [b"\x01\x02\xff"])
        await backend.reply(event, {"saved": "✓"})
        assert await asking == {"saved": "✓"}
        assert await backend.push("edit", {"n": 1}, file=f"doc-{user}", ack=True) == ("ACKED", ["from the page"])
        assert await following(page, "received") == ["received", "edit", {"n": 1}]
        assert (await backend.push("raw", b"\x00\xff", user=user)).name == "WRITTEN"
        assert await following(page, "received") == ["received", "raw", [0, 255]]


async def test_a_page_that_only_polls(allowing: HomingRig, origin: str) -> None:
    user = f"page-{secrets.token_hex(4)}"
    options = {"auth": allowing.auth(user), "transports": ["polling"]}
    async with opened(origin, BUNDLES[0], allowing, **options) as page:
        await following(page, "connect")
        for number in range(10):
            assert (await allowing.backend.push("n", number, user=user)).name == "WRITTEN"
            assert await following(page, "received") == ["received", "n", number]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_page_of_a_foreign_origin_is_refused(allowing: HomingRig, transport: str) -> None:
    options = {"auth": allowing.auth("foreign"), "transports": [transport]}
    with pages() as foreign:
        async with opened(foreign, BUNDLES[0], allowing, **options) as page:
            error = "xhr poll error" if transport == "polling" else "websocket error"
            assert await following(page, "connect_error") == ["connect_error", error]
