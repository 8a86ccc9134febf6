"""A real cluster for tests: gateways and routers as processes of their own, on a real etcd and a real Redis.

Nothing here sleeps: a process is ready when it says so, and what a test waits for is an event of a real client.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import jwt
import websockets

from homing.v1 import router_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret for tests only, 32 bytes or more"
READY_WITHIN = 20.0  # seconds


class Service:
    """One gateway or router process."""

    def __init__(self, process: asyncio.subprocess.Process, facts: dict[str, Any], log: Path) -> None:
        self.process = process
        self.facts = facts
        self.log = log
        self._terminated = False

    @property
    def url(self) -> str:
        return str(self.facts["url"])

    @property
    def node(self) -> str:
        return str(self.facts["node_id"])

    async def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.process.kill()
        await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def stop(self) -> int:
        """SIGTERM, once; the answer is the exit code."""
        if self.process.returncode is None and not self._terminated:
            self._terminated = True
            self.process.terminate()
        async with asyncio.timeout(20):
            return await self.process.wait()


class Cluster:
    """Some gateways and routers that share a cluster name of their own."""

    def __init__(self, directory: Path, etcd: str, redis: str, **registry: object) -> None:
        self.directory = directory
        self.etcd = etcd
        self.redis = redis
        self.name = f"test-{secrets.token_hex(4)}"
        self.stream = f"events-{self.name}"
        self.gateways: list[Service] = []
        self.routers: list[Service] = []
        self._channels: list[grpc.aio.Channel] = []
        (directory / "key").write_text(SECRET)
        self.registry = {
            "cluster": self.name,
            "etcd": [etcd],
            "ttl": 2,
            "sweep_after": 1.0,
            "start_limit": 10,
        } | registry
        self.config = directory / "homing.toml"
        self.write_config()

    def write_config(self, **gateway: object) -> None:
        """The configuration that services started from now on read."""
        lines = ["[registry]", *(f"{key} = {json.dumps(value)}" for key, value in self.registry.items())]
        lines += ["[bus]", f'redis = "redis://{self.redis}"', "[events]", f'name = "{self.stream}"']
        lines += ["[auth.issuers.test]", 'algorithm = "HS256"', f'key_file = "{self.directory / "key"}"']
        lines += ['iss = "tests"', 'aud = "homing"', "[gateway]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in gateway.items() if not isinstance(value, dict)]
        for name, table in gateway.items():
            if isinstance(table, dict):
                lines += [f"[gateway.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        self.config.write_text("\n".join(lines) + "\n")

    async def start_gateway(self, *flags: str) -> Service:
        """One more gateway, ready for clients."""
        flags = ("--listen", "127.0.0.1:0", "--node-listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *flags)
        service = await self._start("gateway", len(self.gateways), flags)
        self.gateways.append(service)
        return service

    async def start_router(self, *flags: str) -> Service:
        """One more router, with a complete table."""
        flags = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", *flags)
        service = await self._start("router", len(self.routers), flags)
        self.routers.append(service)
        return service

    async def spawn(self, kind: str, *flags: str) -> asyncio.subprocess.Process:
        """A service whose start is the test itself: stdout and stderr are piped."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", kind, "--config", str(self.config), *flags)
        return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, cwd=ROOT)

    async def _start(self, kind: str, number: int, flags: tuple[str, ...]) -> Service:
        log = self.directory / f"{kind}-{number}.log"
        command = (sys.executable, "-m", kind, "--config", str(self.config), *flags)
        with log.open("ab") as err:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=err, cwd=ROOT, env={**os.environ}
            )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(READY_WITHIN):
                line = await process.stdout.readline()
        except TimeoutError:
            process.kill()
            raise
        assert line, f"{kind} ended before it was ready:\n{log.read_text()[-3000:]}"
        return Service(process, json.loads(line), log)

    def router(self, number: int = 0) -> router_pb2_grpc.RouterStub:
        """A stub on one router."""
        channel = grpc.aio.insecure_channel(self.routers[number].facts["grpc"])
        self._channels.append(channel)
        return router_pb2_grpc.RouterStub(channel)

    def token(self, user: str, *files: str, **changes: object) -> str:
        """A token of the cluster's issuer."""
        claims = {"sub": user, "iss": "tests", "aud": "homing", "exp": time.time() + 600, "files": list(files)}
        return jwt.encode(claims | changes, SECRET, algorithm="HS256")

    async def stop(self) -> None:
        """Stop everything that still runs."""
        for channel in self._channels:
            await channel.close()
        running = [s for s in (*self.routers, *self.gateways) if s.process.returncode is None]
        with contextlib.suppress(ProcessLookupError):
            for service in running:
                service.signal(signal.SIGCONT)
        await asyncio.gather(*(service.stop() for service in running), return_exceptions=True)
        for service in running:
            if service.process.returncode is None:
                await service.kill()


class Client:
    """A homing.json client over the public `websockets` package."""

    def __init__(self, connection: websockets.ClientConnection, hello: dict[str, Any]) -> None:
        self.connection = connection
        self.hello = hello
        self.sid = int(hello["session"])
        self._ids = 0

    async def receive(self, within: float = 5.0) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(within):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Send with an id; the answer to it."""
        self._ids += 1
        await self.send(**message, id=self._ids)
        while (answer := await self.receive()).get("id") != self._ids:
            pass
        return answer

    async def join(self, file: str) -> None:
        answer = await self.ask(type="join", file=file)
        assert answer["type"] == "ok", answer

    async def rest(self) -> list[dict[str, Any]]:
        """Everything that still came before the close."""
        messages: list[dict[str, Any]] = []
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                messages.append(json.loads(await self.connection.recv()))
        return messages

    async def wait_closed(self, within: float = 5.0) -> tuple[int, str]:
        """The close code and reason that the server gave."""
        async with asyncio.timeout(within):
            await self.connection.wait_closed()
        return self.connection.close_code or 1006, self.connection.close_reason or ""


@contextlib.asynccontextmanager
async def connect(cluster: Cluster, gateway: Service, user: str, *files: str, **options: Any) -> AsyncIterator[Client]:
    """A client of this user, granted and joined to the files. `options` are of `websockets.connect`."""
    headers = {"Authorization": f"Bearer {cluster.token(user, *files)}"}
    async with websockets.connect(
        gateway.url,
        subprotocols=[websockets.Subprotocol("homing.json")],
        additional_headers=headers,
        compression=None,
        **options,
    ) as connection:
        client = Client(connection, json.loads(await connection.recv()))
        for file in files:
            await client.join(file)
        yield client
