"""One gateway as a process: its ports, its start and its stop, in order."""

import asyncio
import os
import time
from collections.abc import Callable

from gateway import config
from gateway.access import Access
from gateway.composition.base import Base
from gateway.composition.client_parts import ClientParts
from gateway.composition.delivery_parts import DeliveryParts
from gateway.composition.registry_parts import RegistryParts
from gateway.composition.router_parts import RouterParts
from gateway.readiness import GatewayReadiness
from gateway.tls.rotation import CertificateRotation
from homing.internal.v1 import node_pb2
from observability import names
from observability.metrics import Exposition
from registry.dialable import why_not_dialable
from registry.model import Node
from registry.ports import RegistryError
from registry.store import StoreError
from runtime.bus.port import BusUnavailable
from runtime.process.addresses import join_address, listen_error, split_address
from runtime.process.admin import AdminListener
from runtime.process.lifecycle import StartupError, StopSignal
from runtime.process.ready import notify_ready

VERSION = "0.1.0"


class GatewayProcess:
    """The parts of one gateway, and the order in which they start and stop."""

    def __init__(self, settings: config.GatewayConfig, access: Access) -> None:
        self._access = access
        self._addresses = {"client": "", "port": "", "admin": ""}
        self._base = Base(settings)
        self._registry = RegistryParts(self._base, self._node)
        delivery = DeliveryParts(self._base, self._registry)
        self._clients = ClientParts(self._base, self._registry, delivery, access)
        self._routers = RouterParts(self._base, self._registry, delivery, self._clients, access, self._stats)
        exposition = Exposition("homing_gateway", names.GATEWAY, self._base.counters, self._gauges())
        self._admin = AdminListener(self._readiness().check, exposition.scrape, settings.gateway.hosts)

    def _gauges(self) -> dict[str, Callable[[], float]]:
        base, loop = self._base, self._registry.loop
        return {
            "sessions": lambda: float(len(base.index.sessions)),
            "files": lambda: float(len(base.index.files())),
            "unregistered": lambda: float(loop.unregistered()),
            "events_held": lambda: float(base.sink.held()),
            "dedup_bytes": lambda: float(base.dedup.bytes),
            "dedup_window_seconds": lambda: base.dedup.window(time.monotonic_ns()),
        }

    def _stats(self) -> node_pb2.Stats:
        base = self._base
        counted = {counter.name: getattr(base.counters, counter.name) for counter in names.GATEWAY}
        return node_pb2.Stats(sessions=len(base.index.sessions), files=len(base.index.files()), counters=counted)

    def _node(self, machine: int) -> Node:
        where = self._addresses
        return Node(where["client"], where["port"], where["admin"], machine, VERSION)

    def _readiness(self) -> GatewayReadiness:
        registry, clients = self._registry, self._clients
        return GatewayReadiness(
            clients.admission,
            registry.lease,
            clients.events,
            registry.streams,
            registry.store.why_away,
            self._base.bus_probe.why_away,
        )

    # Start and stop -------------------------------------------------------------------------------------------------

    async def run(self, stop: StopSignal) -> None:
        """From the first port to the last close."""
        try:
            await self._serve(stop)
        finally:
            await self._close()

    async def _serve(self, stop: StopSignal) -> None:
        if await stop.interrupts(self._start()):
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._registry.loop.run())
            serving = [
                group.create_task(part.run())
                for part in (self._base.sink, self._base.bus_probe, self._registry.pauses, self._registry.directory)
            ]
            if self._routers.bus is not None:
                serving.append(group.create_task(self._routers.bus.run()))
            if self._base.views is not None:
                serving.append(group.create_task(self._base.views.run()))
            if (certificates := self._access.certificates) is not None:
                rotation = CertificateRotation(certificates, self._base.settings.gateway.tls.check_seconds)
                serving.append(group.create_task(rotation.run()))
            await self._registry.loop.wait_linked()
            self._clients.admission.open()
            await self._clients.listener.accept()
            self._print_ready()
            await stop.wait()
            await self._clients.drain.run()
            for task in serving:
                task.cancel()

    async def _start(self) -> None:
        """The ports; then event sink, bus, first incarnation, in this order: no push is missed that is meant for it."""
        await self._listen()
        self._base.tasks.start(self._clients.listener.accept_later())
        try:
            await self._base.sink.open()
            if self._routers.bus is not None:
                await self._routers.bus.open()
        except BusUnavailable as error:
            raise StartupError(str(error)) from None
        try:
            await self._registry.loop.start()
        except (StoreError, RegistryError) as error:
            raise StartupError(str(error)) from None

    async def _listen(self) -> None:
        settings = self._base.settings.gateway
        advertised = settings.advertise
        for field in ("listen", "node_listen", "admin"):
            split_address(getattr(settings, field), f"gateway.{field}")
        host, port = split_address(settings.listen, "gateway.listen")
        try:
            host, port = await self._clients.listener.listen(host, port)
        except OSError as error:
            raise listen_error("gateway.listen", settings.listen, error) from None
        scheme = "ws" if self._access.certificates is None else "wss"
        self._addresses["client"] = f"{scheme}://{join_address(advertised or host, port)}/ws"
        node_host, node_port = split_address(settings.node_listen, "gateway.node_listen")
        try:
            node_port = await self._routers.server.listen(node_host, node_port)
        except OSError as error:
            raise listen_error("gateway.node_listen", settings.node_listen, error) from None
        self._addresses["port"] = join_address(advertised or node_host, node_port)
        if why := why_not_dialable(self._addresses["port"]):
            field = "gateway.advertise" if advertised else "gateway.node_listen"
            raise StartupError(f"{field}: routers cannot dial {self._addresses['port']}: {why}")
        try:
            self._addresses["admin"] = await self._admin.listen(*split_address(settings.admin, "gateway.admin"))
        except OSError as error:
            raise listen_error("gateway.admin", settings.admin, error) from None

    def _print_ready(self) -> None:
        registration = self._registry.loop.registration
        notify_ready(
            ready="gateway",
            node_id=registration.incarnation.node,
            epoch=registration.incarnation.epoch,
            machine=registration.machine,
            url=self._addresses["client"],
            node=self._addresses["port"],
            admin=self._addresses["admin"],
            pid=os.getpid(),
        )

    async def _close(self) -> None:
        await self._clients.listener.close()
        self._clients.nodes.channels.close()
        self._base.deadlines.close()
        self._base.uploads.close()
        self._clients.heartbeat.close()
        self._clients.expiry.close()
        await self._base.tasks.close()
        await self._base.sink.close()
        for part in (self._base.views, self._routers.bus):
            if part is not None:
                await part.close()
        await self._routers.server.close()
        await self._admin.close()
        await self._registry.store.close()
        await self._base.spans.close()
