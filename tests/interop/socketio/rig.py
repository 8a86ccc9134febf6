"""Three gateways and a router behind HAProxy, and a backend; or the reference server in their place."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.interop.socketio.backends import Backend, HomingBackend, ReferenceBackend
from tests.interop.socketio.driven import FOLDER, driven
from tests.interop.socketio.haproxy import haproxy, wait_all_up
from tests.support.cluster import Cluster, Service
from tests.support.servers import Server, free_port

NAMESPACES = ("/", "/chat")
GATEWAYS = ("g0", "g1", "g2")
HEARTBEAT = {"interval": 2.0, "timeout": 10.0}  # seconds


class Rig:
    """What clients connect to, and the backend behind it."""

    def __init__(self, address: str, backend: Backend, tokens: Cluster) -> None:
        self.address = address  # host:port
        self.backend = backend
        self._tokens = tokens

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def token(self, user: str, *files: str) -> str:
        return self._tokens.token(user, *files)

    def auth(self, user: str, *files: str) -> dict[str, object]:
        """What a client says in CONNECT: it has grants for the files, and joins them at once."""
        return {"token": self.token(user, *files), "files": files}


class HomingRig(Rig):
    """The gateways can be lost, and replaced on the same ports."""

    def __init__(self, address: str, backend: HomingBackend, cluster: Cluster, flags: dict[str, Sequence[str]]) -> None:
        super().__init__(address, backend, cluster)
        self.homing = backend
        self.cluster = cluster
        self._flags = flags

    def gateway(self, node: str) -> Service:
        """The living gateway of this name."""
        return next(one for one in reversed(self.cluster.gateways) if one.node == node)

    async def replace(self, node: str) -> None:
        """Start a killed gateway again, and wait until HAProxy gives it clients."""
        await self.cluster.start_gateway(*self._flags[node])
        await wait_all_up(self.address)


@asynccontextmanager
async def homing_rig(folder: Path, etcd: Server, redis: Server, *origins: str) -> AsyncIterator[HomingRig]:
    """`origins`: of the pages that may connect."""
    cluster = Cluster(folder, etcd.endpoint, redis.endpoint)
    cluster.write_config(socketio={"namespaces": NAMESPACES}, proxies={"trusted": ["127.0.0.1"]}, heartbeat=HEARTBEAT)
    flags = {node: ("--node-id", node, *_ports(), *_allowed(origins)) for node in GATEWAYS}
    try:
        await asyncio.gather(*(cluster.start_gateway(*flags[node]) for node in GATEWAYS))
        await cluster.start_router()
        async with haproxy(cluster.gateways, folder) as address:
            yield HomingRig(address, HomingBackend(cluster), cluster, flags)
    finally:
        await cluster.stop()


def _ports() -> tuple[str, ...]:
    """Ports that a gateway has again when it is replaced."""
    return ("--listen", f"127.0.0.1:{free_port()}", "--admin", f"127.0.0.1:{free_port()}")


def _allowed(origins: Sequence[str]) -> tuple[str, ...]:
    listed = ",".join(f'"{origin}"' for origin in origins)
    return ("--set", f"auth.origins=[{listed}]") if origins else ()


@asynccontextmanager
async def reference_rig(folder: Path, parser: str) -> AsyncIterator[Rig]:
    """The reference server. Its parser is given: it does not find out which one a client uses."""
    tokens = Cluster(folder, "", "")  # never started: it signs
    async with driven("node", str(FOLDER / "reference.mjs"), parser) as running:
        port = (await running.next("listening"))["port"]
        yield Rig(f"127.0.0.1:{port}", ReferenceBackend(running), tokens)
