"""The cluster of one experiment: 3 etcd members, Redis, 3 gateways and 2 routers, each a process of its own."""

import asyncio
import json
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bench.faults.clients import Address
from bench.faults.records import HistoryWriter, IncarnationOver
from bench.micro.tls_pair import write_pair
from homing import Router
from homing.client.values import NodeDown, NodeUp
from tests.support.cluster import Cluster, Service
from tests.support.proxy import Proxy
from tests.support.servers import Server, free_port, start_etcd_cluster, start_redis

REGISTRY_TTL = 5  # seconds
SWEEP_AFTER = 2.0  # seconds
GATEWAYS, ROUTERS = 3, 2
ETCD36 = Path(__file__).resolve().parents[2] / ".tools/bin/etcd36"
PROXY_HOST = "127.0.0.2"  # where the proxy in front of a gateway's router port listens


class FaultRig:
    """What an experiment breaks."""

    def __init__(self, directory: Path, etcd: list[Server], redis: Server) -> None:
        self.directory = directory
        self.etcd = etcd
        self.redis = redis
        endpoints = [member.endpoint for member in etcd]
        self.cluster = Cluster(directory, endpoints[0], redis.endpoint, ttl=REGISTRY_TTL, sweep_after=SWEEP_AFTER)
        self.cluster.registry["etcd"] = endpoints
        self.cluster.write_config()
        self.pair: tuple[Path, Path] | None = None  # the certificate of the gateways and its key; None: plain
        self.addresses = Address()
        self.gateways: dict[str, Service] = {}
        self.epochs: dict[str, int] = {}  # by node, as a router reported it last
        self.etcd_proxies: list[Proxy] = []  # between the first gateway and each member
        self.router_proxy: Proxy | None = None  # between the routers and the first gateway

    def use_tls(self) -> None:
        """Gateways started from now on have a certificate, and clients trust it."""
        self.pair = self.directory / "certificate.pem", self.directory / "key.pem"
        self.renew_certificate()
        self.cluster.write_config(tls={"cert_file": str(self.pair[0]), "key_file": str(self.pair[1])})

    def renew_certificate(self) -> None:
        """Another certificate with another key; clients trust both from now on."""
        write_pair(self.directory)
        context = self.addresses.tls = self.addresses.tls or ssl.create_default_context()
        context.load_verify_locations(self.directory / "certificate.pem")

    @property
    def routers(self) -> list[Service]:
        """The routers that run."""
        return self.cluster.routers

    @property
    def router_addresses(self) -> list[str]:
        """host:port of each router's gRPC API."""
        return [str(router.facts["grpc"]) for router in self.routers]

    async def start_gateway(self, name: str, *flags: str) -> Service:
        """One more gateway, to which clients connect from now on."""
        service = await self.cluster.start_gateway("--node-id", name, "--set", "views.enabled=true", *flags)
        self.gateways[name] = service
        self.addresses.urls[name] = service.url.replace(PROXY_HOST, "127.0.0.1")
        return service

    def remove_gateway(self, name: str) -> Service:
        """Clients connect to it no longer. Returns it."""
        self.addresses.urls.pop(name, None)
        service = self.gateways.pop(name)
        self.cluster.gateways.remove(service)
        return service

    async def restart_router(self, old: Service, kill: bool = False) -> int:
        """Stop or kill a router and start another one at its addresses; the exit status of the first."""
        if kill:
            await old.kill()
        status = old.process.returncode if kill else await old.stop()
        self.routers.remove(old)
        await self.cluster.start_router("--grpc", str(old.facts["grpc"]), "--http", str(old.facts["http"]))
        return int(status or 0)

    async def leader(self) -> Server:
        """etcd's leader. TimeoutError: none within 10 s."""
        async with asyncio.timeout(10):
            while True:
                for member in self.etcd:
                    if member.process.poll() is None:
                        status = await asyncio.to_thread(_etcd_status, member.endpoint)
                        if status and status["header"]["member_id"] == status.get("leader"):
                            return member
                await asyncio.sleep(0.05)

    async def watch_epochs(self, history: HistoryWriter) -> None:
        """Keep `epochs`, and record the ends of incarnations, until cancelled."""
        async with Router(*self.router_addresses) as router:
            async for change in router.watch_nodes():
                if isinstance(change, NodeUp):
                    self._note_epoch(history, change.state.node, change.state.epoch)
                elif isinstance(change, NodeDown):
                    self._note_epoch(history, change.node, 0)

    def _note_epoch(self, history: HistoryWriter, node: str, epoch: int) -> None:
        before = self.epochs.get(node, 0)
        if before and before != epoch:
            history.write(IncarnationOver(node, before, time.monotonic()))
        self.epochs[node] = epoch


def _etcd_status(endpoint: str) -> dict[str, Any]:
    request = urllib.request.Request(f"http://{endpoint}/v3/maintenance/status", data=b"{}")
    with suppress(OSError), urllib.request.urlopen(request, timeout=1) as response:
        status: dict[str, Any] = json.load(response)
        return status
    return {}


@asynccontextmanager
async def start_rig(directory: Path, proxied: bool = False, tls: bool = False) -> AsyncIterator[FaultRig]:
    """A whole cluster, stopped at the end. `proxied`: the first gateway reaches the others through proxies. `tls`:
    clients speak it."""
    binary = str(ETCD36) if ETCD36.exists() else ""
    async with AsyncExitStack() as stack:
        etcd = await asyncio.to_thread(start_etcd_cluster, directory, binary=binary)
        for member in etcd:
            stack.callback(_stop_server, member)
        redis = await asyncio.to_thread(start_redis, directory)
        stack.callback(_stop_server, redis)
        rig = FaultRig(directory, etcd, redis)
        if tls:
            rig.use_tls()
        stack.push_async_callback(_kill_services, rig)
        flags = await _proxies(rig, stack) if proxied else ()
        await rig.start_gateway("g0", *flags)
        await asyncio.gather(*(rig.start_gateway(f"g{number}") for number in range(1, GATEWAYS)))
        await asyncio.gather(*(rig.cluster.start_router() for _ in range(ROUTERS)))
        yield rig


async def _proxies(rig: FaultRig, stack: AsyncExitStack) -> Sequence[str]:
    """Proxies between the first gateway, etcd and the routers; the flags of that gateway."""
    rig.etcd_proxies = [await stack.enter_async_context(Proxy(member.port)) for member in rig.etcd]
    port = free_port()
    rig.router_proxy = await stack.enter_async_context(Proxy(port, (PROXY_HOST, port)))
    endpoints = json.dumps([proxy.endpoint for proxy in rig.etcd_proxies])
    settings = {"registry.etcd": endpoints, "gateway.advertise": f'"{PROXY_HOST}"'}
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return ["--node-listen", f"127.0.0.1:{port}", *flags]


async def _kill_services(rig: FaultRig) -> None:
    """Their state goes with the cluster, so nobody waits for drains."""
    running = [one for one in (*rig.routers, *rig.cluster.gateways) if one.process.returncode is None]
    await asyncio.gather(*(service.kill() for service in running))
    await rig.cluster.stop()


def _stop_server(server: Server) -> None:
    with suppress(ProcessLookupError):
        server.process.send_signal(18)  # SIGCONT: one that is stopped cannot end
    server.kill()
