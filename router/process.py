"""One router as a process: its parts, its start and its stop, in order."""

import asyncio
import os
import secrets

from observability import names, span_export
from observability.counters import counters
from observability.metrics import Exposition
from registry.feed import StoreRouteFeed
from registry.model import Incarnation, Node
from registry.sweeper import Sweeper
from router import adapters
from router.api.calls import Calls
from router.api.grpc_api import GrpcApi
from router.api.http_api import HttpApi
from router.backlog import Backlog
from router.caller import loopback
from router.config import RouterConfig
from router.delivery.broadcast import Broadcast
from router.delivery.port import PushDelivery
from router.delivery.routed import Routed
from router.hop.fencing import FencingQueries
from router.hop.fleet import Fleet
from router.hop.port import Hop, OnChange, OnHandled, ignore_handled
from router.hop.stream import StreamHop
from router.listeners import Listeners
from router.lost_sessions import LostSessions
from router.push_handler import PushHandler
from router.readiness import RouterReadiness
from runtime.bus.port import BusUnavailable
from runtime.grpc_wire.shared_secret import read_shared_secret
from runtime.process.admin import AdminListener
from runtime.process.lifecycle import StartupError, StopSignal
from runtime.process.ready import notify_ready

GRACE = 5.0  # seconds for open calls at a stop


class RouterProcess:
    """One router: its parts, and the order in which they start and stop."""

    def __init__(self, settings: RouterConfig) -> None:
        self._settings = settings
        self._id = settings.router.id or f"{os.uname().nodename[:40]}-{secrets.token_hex(4)}"
        # The name in hellos and broadcasts is unique to this process: a router that restarts under its id is another.
        self._name = f"{self._id}.{secrets.token_hex(4)}" if settings.router.id else self._id
        self._counters = counters(names.ROUTER)
        self._secret = read_shared_secret(settings.registry.secret_file)
        self._store = adapters.store(settings)
        self._feed = StoreRouteFeed(self._store, settings.registry, on_resync=self._count_resync)
        self._fencing = FencingQueries(self._feed)
        self._fleet = Fleet(self._feed, self._make_hop)
        self._bus_probe = adapters.bus_probe(settings)
        self._readiness = RouterReadiness(self._feed, self._fleet, self._store.why_away, self._bus_probe.why_away)
        self._lost_sessions = LostSessions(lambda: adapters.event_sink(settings), self._counters)
        self._sweeper = Sweeper(
            self._store, settings.registry, self._id, self._feed.table, on_lost=self._lost_sessions.publish
        )
        self._tracer, self._spans = span_export.set_up(
            settings.trace,
            self._counters,
            service_name="homing-router",
            service_namespace=settings.registry.cluster,
            service_instance_id=self._id,
        )
        self._publisher = adapters.publisher(settings)
        self._delivery, self._on_handled = self._make_delivery()
        self._backlog = Backlog(self._feed.verify)
        pushes = PushHandler(self._delivery, settings.router.api.max_data, self._tracer, self._backlog.received)
        broadcasts = settings.delivery.mode == "broadcast"
        calls = Calls(settings.router.api, pushes, self._feed, self._fleet, broadcasts)
        self._commands = adapters.commands(settings, calls, self._counters)
        self._grpc_api = GrpcApi(calls, loopback)
        self._listeners = Listeners(
            settings.router,
            self._grpc_api,
            HttpApi(calls, loopback, settings.router.hosts, settings.router.origins),
            self._make_admin(),
        )

    def _make_delivery(self) -> tuple[PushDelivery, OnHandled]:
        """The delivery of the configured mode, and the receiver of nodes' `Handled` messages."""
        if self._publisher is None:
            return Routed(self._feed, self._fleet, self._counters, self._tracer), ignore_handled
        hop, fleet = self._settings.router.hop, self._fleet
        made = Broadcast(self._name, self._publisher, self._feed, fleet, hop, self._counters, self._tracer)
        return made, made.on_handled

    def _make_hop(self, incarnation: Incarnation, node: Node, on_change: OnChange) -> Hop:
        def batch() -> int:
            return self._feed.table.batch(incarnation)

        settings, fencing = self._settings.router.hop, self._fencing.answer
        return StreamHop(
            *(self._name, incarnation, node.node_address, settings, batch, fencing, on_change, self._on_handled),
            unregistered=node.restoring,
            broadcasts=self._publisher is not None,
            secret=self._secret,
        )

    def _count_resync(self) -> None:
        self._counters.resyncs += 1

    def _make_admin(self) -> AdminListener:
        gauges = {
            "sessions": lambda: float(len(self._feed.table)),
            "malformed": lambda: float(self._feed.table.malformed),
            "behind_seconds": self._feed.behind_for,
            "watches_reopened": lambda: float(self._feed.watches_reopened),
            "nodes": lambda: float(len(self._feed.table.incarnations())),
            "sweeps": lambda: float(self._sweeper.is_leader),
        }
        exposition = Exposition("homing_router", names.ROUTER, self._counters, gauges)
        return AdminListener(self._readiness.check, exposition.scrape, self._settings.router.hosts)

    async def run(self, stop: StopSignal) -> None:
        """From the first listener to the last call. Raises StartupError."""
        try:
            await self._serve(stop)
        finally:
            await self._close()

    async def _serve(self, stop: StopSignal) -> None:
        addresses = await self._listeners.open()
        if await stop.interrupts(self._open_bus()):
            return
        async with asyncio.TaskGroup() as group:
            registry_tasks = [group.create_task(self._feed.run()), group.create_task(self._backlog.run())]
            if not await stop.interrupts(self._wait_synced()):
                registry_tasks.append(group.create_task(self._sweeper.run()))
                self._fleet.start(group)
                if not await stop.interrupts(self._wait_ready()):
                    notify_ready(ready="router", id=self._id, **addresses._asdict(), pid=os.getpid())
                    await self._serve_until(stop, group)
                self._fleet.close()
            for task in registry_tasks:
                task.cancel()

    async def _serve_until(self, stop: StopSignal, group: asyncio.TaskGroup) -> None:
        """Commands and calls, until a signal, and until the calls under way are answered."""
        serving = [group.create_task(self._bus_probe.run())]
        if self._commands is not None:
            serving.append(group.create_task(self._commands.run()))
        await stop.wait()
        self._readiness.set_ready(False)
        for task in serving:
            task.cancel()
        await asyncio.gather(self._listeners.close_api(GRACE), self._close_commands())

    async def _open_bus(self) -> None:
        try:
            if self._publisher is not None:
                await self._publisher.open()
            if self._commands is not None:
                await self._commands.open()
        except BusUnavailable as error:
            raise StartupError(str(error)) from None

    async def _wait_synced(self) -> None:
        limit = self._settings.registry.start_limit
        try:
            async with asyncio.timeout(limit):
                await self._feed.wait_synced()
        except TimeoutError:
            where = ", ".join(self._settings.registry.endpoints().endpoints)
            raise StartupError(f"registry.etcd: {where} has not answered for {limit:.0f} s; is etcd running?") from None

    async def _wait_ready(self) -> None:
        """Ready: the table holds what was registered before the streams to all living nodes were open."""
        await self._fleet.wait_opened()
        await self._feed.wait_caught_up()
        self._readiness.set_ready(True)
        self._grpc_api.set_ready(True)

    async def _close_commands(self) -> None:
        if self._commands is not None:
            await self._commands.close()

    async def _close(self) -> None:
        await self._close_commands()
        await self._listeners.close()
        await self._delivery.close()
        if self._publisher is not None:
            await self._publisher.close()
        await self._lost_sessions.close()
        await self._fencing.close()
        await self._store.close()
        await self._spans.close()
