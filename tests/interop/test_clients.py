"""Public WebSocket clients that nobody here wrote, each in a process of its own, against a real cluster.

websocat, which must be compiled, has a verb of its own: `make interop-slow`.
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.support.calls import push
from tests.support.cluster import Cluster

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]
DRIVERS = Path(__file__).parent / "drivers"
NODE_OPTIONS = ("--experimental-websocket", "--no-warnings")  # built in without a flag from Node 22 on
CLIENTS = ("websockets", "aiohttp", "ws", "built-in")
LARGEST = 65_536


@pytest.fixture(scope="module")
def node() -> str:
    """Node with `ws` installed beside the driver."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        return ""  # `drive` says so, for the clients that need it
    if not (DRIVERS / "node_modules" / "ws").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=DRIVERS, check=True, timeout=100)
    return found


class Driven:
    """A foreign client that obeys."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self, event: str, within: float = 10.0) -> dict[str, Any]:
        """The next event, which must be of this kind."""
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        told: dict[str, Any] = json.loads(line)
        assert told["event"] == event, told
        return told

    async def message(self) -> str:
        return base64.b64decode((await self.next("message"))["data"]).decode()

    async def do(self, command: str, data: bytes = b"", **more: Any) -> None:
        assert self._process.stdin is not None
        line = json.dumps({"command": command, "data": base64.b64encode(data).decode(), **more})
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()


@asynccontextmanager
async def drive(client: str, node: str, url: str, *protocols: str) -> AsyncIterator[Driven]:
    if client in ("ws", "built-in") and not node:
        pytest.skip("Node and npm are not installed: no test with Node's clients has run")
    python = [sys.executable, str(DRIVERS / "driver.py"), client]
    options = [option for option in NODE_OPTIONS if client == "built-in"]
    command = python if client in ("websockets", "aiohttp") else [node, *options, str(DRIVERS / "driver.mjs"), client]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, url, *protocols, stdin=pipe, stdout=pipe, limit=1 << 20, env={**os.environ}
    )
    try:
        yield Driven(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def events(three: Cluster, user: str, number: int) -> list[dict[bytes, bytes]]:
    """The first `number` messages that this user sent, as backends read them."""
    async with Redis.from_url(f"redis://{three.redis}") as redis, asyncio.timeout(10):
        found: list[dict[bytes, bytes]] = []
        after = "0"
        while len(found) < number:
            for _, got in await redis.xread({three.stream: after}, block=500):
                after = got[-1][0]
                mine = [f for _, f in got if f[b"X-Uid"] == user.encode() and f[b"X-Event"] == b"message"]
                found += [fields for fields in mine if b"X-Inner" not in fields]
    return found


@pytest.mark.parametrize("client", CLIENTS)
async def test_bare_messages_go_up_untouched_and_pushes_come_down(three: Cluster, node: str, client: str) -> None:
    user, gateway, router = f"bare-{client}", three.gateways[0], three.router()
    url = f"{gateway.url}?token={three.token(user, 'doc')}&file=doc"
    async with drive(client, node, url) as driven:
        assert (await driven.next("open"))["protocol"] == ""
        sent = [("text", "grüße ✓".encode()), ("binary", bytes(range(256))), ("text", b"x" * LARGEST)]
        for command, data in sent:
            await driven.do(command, data)
        if client != "built-in":  # browsers' WebSocket cannot ping
            await driven.do("ping", b"are you there")
            assert base64.b64decode((await driven.next("pong"))["data"]) == b"are you there"
        got = await events(three, user, 3)
        assert [fields[b"value"] for fields in got] == [data for _, data in sent]
        kinds = [fields[b"Content-Type"].split(b";")[0] for fields in got]
        assert kinds == [b"text/plain", b"application/octet-stream", b"text/plain"]

        report = (await router.Push(push(file="doc", data=b'{"n": 1}'))).report
        assert dict(report.counts) == {"WRITTEN": 1}
        assert await driven.message() == '{"n": 1}'
        await router.Push(push(user=user, data=b"\x00\xff" * 50_000, content_type="application/octet-stream"))
        told = await driven.next("message")
        assert (told["binary"], base64.b64decode(told["data"])) == (True, b"\x00\xff" * 50_000)

        await driven.do("binary", b"x" * (LARGEST + 1))
        assert (await driven.next("close"))["code"] == 1009


@pytest.mark.parametrize("client", CLIENTS)
async def test_homing_json_joins_speaks_hears_and_says_goodbye(three: Cluster, node: str, client: str) -> None:
    user, gateway, router = f"json-{client}", three.gateways[1], three.router()
    async with drive(client, node, gateway.url, "homing.json") as driven:
        assert (await driven.next("open"))["protocol"] == "homing.json"
        await driven.do("text", json.dumps({"type": "auth", "token": three.token(user, "pad")}).encode())
        hello = json.loads(await driven.message())
        assert (hello["type"], hello["user"], hello["registered"]) == ("hello", user, True)
        await driven.do("text", b'{"type": "join", "file": "pad", "id": 1}')
        assert json.loads(await driven.message()) == {"type": "ok", "id": 1}
        report = (await router.Push(push("edit", file="pad", data=b"[1,2]", push_id=client))).report
        assert [(d.user, d.node) for d in report.deliveries] == [(user, gateway.node)]
        heard = {"type": "event", "event": "edit", "data": [1, 2], "push": client, "file": "pad"}
        assert json.loads(await driven.message()) == heard
        await driven.do("text", b'{"type": "event", "event": "said", "data": {"deep": [1]}, "file": "pad"}')
        (said,) = await events(three, user, 1)
        assert (said[b"X-Name"], said[b"X-Guid"], said[b"value"]) == (b"said", b"pad", b'{"deep": [1]}')
        await driven.do("close", code=1000)
        assert (await driven.next("close"))["code"] == 1000
    async with asyncio.timeout(5):
        while dict((await router.Push(push(user=user))).report.counts) != {"OFFLINE": 1}:
            pass


@pytest.mark.parametrize("client", CLIENTS)
async def test_ten_bad_messages_in_a_row_close_with_4400(three: Cluster, node: str, client: str) -> None:
    url = f"{three.gateways[2].url}?token={three.token(f'bad-{client}')}"
    async with drive(client, node, url, "homing.json") as driven:
        await driven.next("open")
        assert json.loads(await driven.message())["type"] == "hello"
        for _ in range(10):
            await driven.do("text", b'{"type": "event"}')
            error = json.loads(await driven.message())
            assert (error["code"], error["field"]) == ("bad_message", "event")
        closed = await driven.next("close")
        assert (closed["code"], closed["reason"]) == (4400, "bad messages")
