"""/homing.js under Node, whose WebSocket is a browser's: against a real gateway, and against a scripted one."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import websockets

from homing import Outcome, Router
from tests.interop.test_clients import NODE_OPTIONS, events
from tests.support.cluster import Cluster, Service
from tests.support.servers import Server, free_port

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]
DRIVER = Path(__file__).parent / "drivers" / "homing_js.mjs"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dev(tmp_path_factory: pytest.TempPathFactory, etcd: Server, redis: Server) -> AsyncIterator[Cluster]:
    """A gateway with --dev on a port of its own, and a router."""
    cluster = Cluster(tmp_path_factory.mktemp("dev"), etcd.endpoint, redis.endpoint)
    router = await cluster.start_router()
    listen = f"127.0.0.1:{free_port()}"
    await cluster.start_gateway("--dev", "--dev-router", router.facts["http"], "--listen", listen)
    yield cluster
    await cluster.stop()


class Page:
    """The driver: `tell` gives it a command, `next` is the next event of a kind."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = 0

    async def next(self, event: str, **wanted: Any) -> dict[str, Any]:
        """The next event of this kind with these values; others before it are passed over."""
        return (await self.until(event, **wanted))[-1]

    async def until(self, event: str, **wanted: Any) -> list[dict[str, Any]]:
        """All events up to the next one of this kind with these values."""
        assert self._process.stdout is not None
        told: list[dict[str, Any]] = []
        async with asyncio.timeout(15):
            while line := await self._process.stdout.readline():
                told.append(json.loads(line))
                if told[-1]["event"] == event and all(told[-1].get(key) == value for key, value in wanted.items()):
                    return told
        raise AssertionError(f"the driver ended before {event} {wanted}")

    async def call(self, name: str, *args: Any) -> int:
        assert self._process.stdin is not None
        self._ids += 1
        line = json.dumps({"id": self._ids, "call": name, "args": args})
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        return self._ids


@asynccontextmanager
async def page(origin: str, url: str, token_url: str, *files: str) -> AsyncIterator[Page]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed: /homing.js has not been tested")
    pipe = asyncio.subprocess.PIPE
    arguments = (str(DRIVER), f"http://{origin}/homing.js", url, token_url, *files)
    process = await asyncio.create_subprocess_exec(node, *NODE_OPTIONS, *arguments, stdin=pipe, stdout=pipe)
    try:
        yield Page(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def origin_of(dev: Cluster) -> str:
    return dev.gateways[-1].url.split("/")[2]


@asynccontextmanager
async def at_home(dev: Cluster, user: str, *files: str) -> AsyncIterator[Page]:
    origin = origin_of(dev)
    token_url = f"http://{origin}/dev/token?user={user}" + "".join(f"&file={file}" for file in files)
    async with page(origin, dev.gateways[-1].url, token_url, *files) as opened:
        yield opened


def router_of(dev: Cluster) -> Router:
    return Router(str(dev.routers[0].facts["grpc"]))


async def test_pushes_are_heard_once_and_acked_with_what_the_handler_returns(dev: Cluster) -> None:
    async with at_home(dev, "js-a", "js-doc") as opened, router_of(dev) as router:
        state = await opened.next("state", state="open")
        assert (state["user"], state["node"]) == ("js-a", dev.gateways[-1].node)
        report = await router.push(file="js-doc", event="e", data={"n": 1}, push_id="once", ack_timeout=5)
        assert (report.counts, report.deliveries[0].ack) == ({Outcome.ACKED: 1}, {"seen": {"n": 1}})
        again = await router.push(user="js-a", event="e", data={"n": 1}, push_id="once", ack_timeout=5)
        assert again.counts == {Outcome.DUPLICATE: 1}
        silent = await router.push(user="js-a", event="silent", ack_timeout=0.3)
        assert silent.counts == {Outcome.WRITTEN: 1}
        await router.push(user="js-a", event="last")
        heard = [await opened.next("push") for _ in range(2)]
    assert [(one["name"], one["push"]) for one in heard] == [("e", "once"), ("last", heard[1]["push"])]
    assert heard[0]["file"] == "js-doc"


async def test_it_opens_with_the_files_it_may_join_and_a_refusal_for_each_other(dev: Cluster) -> None:
    origin = origin_of(dev)
    token_url = f"http://{origin}/dev/token?user=js-x&file=js-good"
    async with page(origin, dev.gateways[-1].url, token_url, "js-good", "js-bad") as opened:
        state = await opened.next("state", state="open")
        assert (state["files"], state["refused"]) == (["js-good"], [{"file": "js-bad", "code": "forbidden"}])


async def test_an_event_that_is_too_large_is_rejected_and_the_connection_lives(dev: Cluster) -> None:
    async with at_home(dev, "js-y") as opened:
        state = await opened.next("state", state="open")
        too_large = await opened.call("emit", "paste", "x" * (state["max_bytes"] + 1))
        assert (await opened.next("failed", id=too_large))["code"] == "too_large"
        small = await opened.call("emit", "paste", "x")
        await opened.next("done", id=small)


async def test_it_is_told_of_files_that_the_backend_joins_and_leaves(dev: Cluster) -> None:
    async with at_home(dev, "js-z") as opened, router_of(dev) as router:
        await opened.next("state", state="open")
        await router.join(user="js-z", file="js-given")
        assert await opened.next("file", file="js-given", joined=True)
        await router.leave(user="js-z", file="js-given")
        assert await opened.next("file", file="js-given", joined=False)


async def test_events_go_up_and_a_backends_reply_comes_back(dev: Cluster) -> None:
    async with at_home(dev, "js-b", "js-pad") as opened, router_of(dev) as router:
        await opened.call("emit", "early", {"before": "the connection"})  # held until there is one
        await opened.call("emit", "save", "text", {"reply": True, "file": "js-pad"})
        early, save = await events(dev, "js-b", 2)
        assert (early[b"X-Name"], early[b"value"]) == (b"early", b'{"before":"the connection"}')
        assert (save[b"X-Guid"], save[b"value"]) == (b"js-pad", b'"text"')
        assert b"X-Ack" not in early
        assert await router.reply(int(save[b"X-ID"]), int(save[b"X-Ack"]), {"saved": 4}) is Outcome.WRITTEN
        assert (await opened.next("done", id=2))["value"] == {"saved": 4}
        await opened.call("emit", "save", None, {"reply": True})
        late = (await events(dev, "js-b", 3))[2]
        await router.reply(int(late[b"X-ID"]), int(late[b"X-Ack"]), error=("conflict", "too late"))
        assert (await opened.next("failed", id=3))["code"]
        await opened.call("join", "js-not-granted")
        assert (await opened.next("failed", id=4))["code"] == "forbidden"
        await opened.call("leave", "js-pad")
        await opened.next("done", id=5)
        assert (await router.push(file="js-pad", event="e")).counts == {Outcome.OFFLINE: 1}


async def test_after_a_drain_it_comes_back_by_itself_and_joins_its_files_again(dev: Cluster) -> None:
    async with at_home(dev, "js-c", "js-doc-2") as opened, router_of(dev) as router:
        await opened.next("state", state="open")
        listen = origin_of(dev)
        assert await dev.gateways[-1].stop() == 0
        await opened.next("state", state="waiting")
        await dev.start_gateway("--dev", "--dev-router", dev.routers[0].facts["http"], "--listen", listen)
        await opened.next("state", state="open")
        assert (await router.push(file="js-doc-2", event="e", ack_timeout=5)).counts == {Outcome.ACKED: 1}
        await opened.call("close")
        assert (await opened.next("state", state="closed"))["code"] == 1000
        async with asyncio.timeout(5):
            while (await router.push(user="js-c", event="e")).counts != {Outcome.OFFLINE: 1}:
                pass


async def test_when_its_gateway_stops_it_moves_to_another_and_misses_nothing(dev: Cluster) -> None:
    origin, flags = origin_of(dev), ("--dev", "--dev-router", dev.routers[0].facts["http"])
    async with moving_address(dev) as (address, move_to), router_of(dev) as router:
        token_url = f"http://{origin}/dev/token?user=js-m&file=js-moving"
        async with page(origin, f"ws://{address}/ws", token_url, "js-moving") as opened:
            first = await opened.next("state", state="open")
            other = await dev.start_gateway(*flags)
            move_to(other)
            old = dev.gateways[-2]
            stopping = asyncio.ensure_future(old.stop())
            numbers = 0
            while not stopping.done():
                report = await router.push(file="js-moving", event="n", data=numbers)
                assert set(report.counts) == {Outcome.WRITTEN}, report
                numbers += 1
            await router.push(file="js-moving", event="last")
            told = await opened.until("push", name="last")
    assert [(one["state"], one["node"]) for one in told if one["event"] == "state"] == [("open", other.node)]
    assert first["node"] == old.node
    assert [one["data"] for one in told if one["event"] == "push"][:-1] == list(range(numbers))


@asynccontextmanager
async def moving_address(dev: Cluster) -> AsyncIterator[tuple[str, Callable[[Service], None]]]:
    """An address that leads to the newest gateway, and how to make it lead to another: a load balancer."""
    target = dev.gateways[-1]

    def move_to(gateway: Service) -> None:
        nonlocal target
        target = gateway

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(*target.url.split("/")[2].rsplit(":", 1))
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", move_to
    finally:
        server.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


class Scripted:
    """A gateway that says hello and then ends each connection as the test wants."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.endings: list[tuple[dict[str, Any] | None, int]] = []  # (a message before, the close code)

    async def serve(self, connection: websockets.ServerConnection) -> None:
        self.tokens.append(json.loads(await connection.recv())["token"])
        await connection.send(json.dumps({"type": "hello", "session": "1", "node": "g", "files": [], "ping_ms": 60000}))
        if not self.endings:
            await connection.wait_closed()
            return
        message, code = self.endings.pop(0)
        if message:
            await connection.send(json.dumps(message))
        await connection.close(code)


@asynccontextmanager
async def scripted(dev: Cluster, *endings: tuple[dict[str, Any] | None, int]) -> AsyncIterator[tuple[Scripted, Page]]:
    script = Scripted()
    script.endings = list(endings)
    subprotocols = [websockets.Subprotocol("homing.json")]
    async with websockets.serve(script.serve, "127.0.0.1", 0, subprotocols=subprotocols) as server:
        port = server.sockets[0].getsockname()[1]
        async with page(origin_of(dev), f"ws://127.0.0.1:{port}", "numbered") as opened:
            yield script, opened


async def test_the_token_is_kept_until_it_is_refused(dev: Cluster) -> None:
    async with scripted(dev, (None, 1012), (None, 4401)) as (script, opened):
        for _ in range(2):
            waiting = await opened.next("state", state="waiting")
            assert waiting["wait"] <= 1000
        await opened.next("token", number=2)
        await opened.next("state", state="open")
    assert script.tokens == ["token-1", "token-1", "token-2"]


async def test_reconnect_names_the_time_within_which_it_comes_back(dev: Cluster) -> None:
    message = {"type": "reconnect", "after_ms": 300, "reason": "draining"}
    async with scripted(dev, *[(message, 1012)] * 5) as (_, opened):
        waits = [(await opened.next("state", state="waiting"))["wait"] for _ in range(5)]
        await opened.next("state", state="open")
    assert all(0 <= wait <= 300 for wait in waits)  # the back-off would have grown to seconds
    assert len(set(waits)) > 1


@pytest.mark.parametrize("code", [1013, 4429])
async def test_full_and_too_fast_wait_five_seconds_at_least(dev: Cluster, code: int) -> None:
    async with scripted(dev, (None, code)) as (_, opened):
        assert 5000 <= (await opened.next("state", state="waiting"))["wait"] <= 5500


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1009, 4400, 4403, 4409])
async def test_after_these_it_stays_away(dev: Cluster, code: int) -> None:
    async with scripted(dev, (None, code)) as (script, opened):
        assert (await opened.next("state", state="closed"))["code"] == code
    assert len(script.tokens) == 1
