"""The gateway's composition root: reads the configuration, chooses the adapters, starts and stops in order."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import click

from gateway import config
from gateway.delivery.bus_endpoint import BusEndpoint
from gateway.delivery.node_server import NodeServer
from gateway.delivery.router_endpoint import RouterEndpoint
from gateway.door.admission import Origins
from gateway.door.listener import ClientListener, DoorSettings
from gateway.door.pages import DevelopmentPages
from gateway.events.port import EventSink
from gateway.events.redis_stream import RedisStream
from gateway.identity.tokens import Issuer, Tokens
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.loop import RegistrationLoop, close_paced, wait_linked
from gateway.registration.registering import SessionRegistration
from gateway.service import ClientSettings, Gateway
from gateway.sessions.acks import Acks
from gateway.sessions.heartbeat import Heartbeat
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from gateway.views.port import NO_VIEWS
from gateway.views.redis_views import RedisViews
from gateway.wire.bare import Bare
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.envelope_msgpack import MsgpackEnvelope
from gateway.wire.messages import MessageLimits
from homing.internal.v1 import node_pb2
from observability import names, tracing
from observability.counters import Counters, counters
from observability.metrics import Exposition
from registry.etcd.store import EtcdStore
from registry.model import Node
from registry.ports import RegistryError
from registry.registrar import StoreRegistrar
from registry.store import StoreError
from runtime.bus.port import BusAway, Subscriber
from runtime.bus.redis_channel import RedisSubscriber
from runtime.process import logs
from runtime.process.admin import Admin
from runtime.process.configuration import ConfigurationError, load
from runtime.process.running import CannotStart, Stop, cannot_listen, run, run_command, say_ready, split_address

log = logging.getLogger("gateway")

VERSION = "0.1.0"
SAY_DRAINING = 1.0  # seconds for the registry to be told


class GatewayProcess:
    """One gateway, put together."""

    def __init__(self, settings: config.GatewayConfig, tokens: Tokens, developer: Issuer | None) -> None:
        """`developer` signs tokens for the page; None: no page."""
        self._settings = settings
        self._node_id = config.node_id(settings.gateway.node_id)
        self._counters = counters(names.GATEWAY)
        self._store = EtcdStore(settings.registry.endpoints())
        self._index = Index[Session]()
        self._reach = RouteAckBarrier()
        self._sink = _sink(settings, self._counters)
        self._heartbeat = Heartbeat(settings.gateway.heartbeat, self._counters, asyncio.get_running_loop())
        first = self._make_registrar()
        self._registering = SessionRegistration(self._index, self._reach, first, self._counters)
        self._views = RedisViews(settings.bus, settings.views, self._node_id) if settings.views.enabled else None
        acks = Acks()
        tracer, self._spans = tracing.set_up(
            settings.trace,
            self._counters,
            service_name="homing-gateway",
            service_namespace=settings.registry.cluster,
            service_instance_id=self._node_id,
        )
        self._gateway = Gateway(
            self._node_id,
            ClientSettings(
                round(settings.gateway.heartbeat.interval * 1000),
                settings.gateway.max_message,
                settings.gateway.max_files,
            ),
            settings.gateway.slow,
            tokens.verify,
            self._index,
            self._registering,
            self._sink,
            self._heartbeat,
            acks,
            self._counters,
            tracer,
            self._views or NO_VIEWS,
        )
        self._incarnations = RegistrationLoop(
            self._make_registrar, self._index, self._registering, first, self._reach, self._counters
        )
        self._first = first
        self._port = RouterEndpoint(
            self._incarnations,
            self._gateway,
            self._index,
            self._reach,
            acks,
            settings.gateway.slow,
            self._counters,
            self._stats,
            tracer,
        )
        self._gateway.wait_lease_state = self._port.wait_lease_state
        self._bus: BusEndpoint | None = None
        if settings.delivery.mode == "broadcast":
            self._bus = BusEndpoint(_subscriber(settings), self._port, self._incarnations, self._counters)
        origins = Origins(frozenset(settings.auth.origins), settings.auth.local_origins or developer is not None)
        door = DoorSettings(origins=origins, limits=MessageLimits(max_message=settings.gateway.max_message))
        codecs = (Bare(), JsonEnvelope(), MsgpackEnvelope())
        self._pages = DevelopmentPages(developer, settings.gateway.dev_router) if developer else None
        self._doorway = ClientListener(door, self._gateway, tokens.verify, codecs, pages=self._pages)
        gauges = {
            "sessions": lambda: float(len(self._index.sessions)),
            "files": lambda: float(len(self._index.files())),
            "unregistered": lambda: float(self._incarnations.unregistered()),
            "events_held": lambda: float(self._sink.held()),
        }
        self._admin = Admin(self._why_not_ready, Exposition("homing_gateway", names.GATEWAY, self._counters, gauges))
        self._server = NodeServer(self._port)
        self._addresses = {"client": "", "port": "", "admin": ""}

    def _make_registrar(self) -> StoreRegistrar:
        registrar = StoreRegistrar(self._store, self._settings.registry, self._node_id, self._node)
        registrar.on_unregistered = lambda any: self._port.say_unregistered(any)
        return registrar

    def _stats(self) -> node_pb2.Stats:
        counted = {counter.name: getattr(self._counters, counter.name) for counter in names.GATEWAY}
        return node_pb2.Stats(sessions=len(self._index.sessions), files=len(self._index.files()), counters=counted)

    def _node(self, machine: int) -> Node:
        where = self._addresses
        return Node(where["client"], where["port"], where["admin"], machine, VERSION)

    def _why_not_ready(self) -> str:
        return "" if self._gateway.open else "starting, or draining"

    async def run(self, stop: Stop) -> None:
        """From the first port to the last close."""
        try:
            await self._serve(stop)
        finally:
            await self._close()

    async def _serve(self, stop: Stop) -> None:
        await self._listen()
        try:
            await self._sink.open()
            if self._bus is not None:
                await self._bus.open()  # before anybody knows of this node: it misses nothing that is meant for it
        except BusAway as error:
            raise CannotStart(str(error)) from None
        try:
            await self._first.begin()
        except (StoreError, RegistryError) as error:
            raise CannotStart(str(error)) from None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._incarnations.run())
            sending = group.create_task(self._sink.run())
            hearing = [group.create_task(self._bus.run())] if self._bus is not None else []
            showing = group.create_task(self._views.run()) if self._views is not None else None
            await self._open()
            await stop.wait()
            await self._drain()
            for task in hearing:
                task.cancel()
            if showing is not None:
                showing.cancel()
            sending.cancel()

    async def _listen(self) -> None:
        settings = self._settings.gateway
        advertised = settings.advertise
        for field in ("listen", "node_listen", "admin"):
            split_address(getattr(settings, field), f"gateway.{field}")
        host, port = split_address(settings.listen, "gateway.listen")
        try:
            host, port = await self._doorway.listen(host, port)
        except OSError as error:
            raise cannot_listen("gateway.listen", settings.listen, error) from None
        self._addresses["client"] = f"ws://{advertised or host}:{port}/ws"
        node_host, node_port = split_address(settings.node_listen, "gateway.node_listen")
        try:
            node_port = await self._server.listen(node_host, node_port)
        except OSError as error:
            raise cannot_listen("gateway.node_listen", settings.node_listen, error) from None
        self._addresses["port"] = f"{advertised or node_host}:{node_port}"
        try:
            admin = await self._admin.listen(*split_address(settings.admin, "gateway.admin"))
        except OSError as error:
            raise cannot_listen("gateway.admin", settings.admin, error) from None
        self._addresses["admin"] = admin

    async def _open(self) -> None:
        await wait_linked(self._reach)
        self._gateway.open = True
        incarnation = self._first.incarnation
        say_ready(
            ready="gateway",
            node_id=incarnation.node,
            epoch=incarnation.epoch,
            machine=self._first.machine,
            url=self._addresses["client"],
            node=self._addresses["port"],
            admin=self._addresses["admin"],
            pid=os.getpid(),
        )

    async def _drain(self) -> None:
        """Take nobody new, close clients paced, and give the incarnation back only when their keys are gone.

        Clients hear goodbye in any case; the registry is told beside it, if it can be.
        """
        log.info("draining", extra={"sessions": len(self._index.sessions)})
        self._gateway.open = False
        telling = asyncio.ensure_future(self._say_draining())
        try:
            async with asyncio.timeout(self._settings.gateway.drain):
                self._doorway.stop_listening()
                self._gateway.close_newcomers()
                sessions = list(self._index.sessions.values())
                await close_paced(sessions, per_second=max(200.0, 2 * len(sessions) / self._settings.gateway.drain))
                await self._gateway.wait_empty()
        except TimeoutError:
            log.warning("some clients did not close in time", extra={"sessions": len(self._index.sessions)})
        await telling
        await self._incarnations.end()

    async def _say_draining(self) -> None:
        try:
            async with asyncio.timeout(SAY_DRAINING):
                await self._incarnations.drain()
        except (StoreError, TimeoutError) as error:
            log.warning("the registry could not be told of the drain: %s", str(error) or "no answer")

    async def _close(self) -> None:
        await self._doorway.close()
        if self._pages is not None:
            await self._pages.close()
        await self._gateway.close()
        await self._sink.close()
        if self._views is not None:
            await self._views.close()
        if self._bus is not None:
            await self._bus.close()
        await self._server.close()
        await self._admin.close()
        await self._store.close()
        if self._spans is not None:
            await self._spans.close()


def _sink(settings: config.GatewayConfig, counted: Counters) -> EventSink:
    """Where client events go."""
    if settings.bus.kind == "redis":
        return RedisStream(settings.bus, settings.events, counted)
    from gateway.events.kafka_topic import KafkaTopic  # with aiokafka, which costs 20 MiB

    return KafkaTopic(settings.bus, settings.events, counted)


def _subscriber(settings: config.GatewayConfig) -> Subscriber:
    """Where pushes are read in broadcast mode."""
    if settings.bus.kind == "redis":
        return RedisSubscriber(settings.bus, settings.delivery.channel)
    from runtime.bus.kafka_topic import KafkaSubscriber  # with aiokafka, which costs 20 MiB

    return KafkaSubscriber(settings.bus, settings.delivery.channel)


@click.command(name="gateway")
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file.")
@click.option("--listen", help="Where clients connect, host:port; port 0 takes a free one.")
@click.option("--node-listen", help="Where routers connect, host:port.")
@click.option("--admin", help="Health, readiness and metrics, host:port.")
@click.option("--node-id", help="This gateway's name; by default it has a random part.")
@click.option("--dev", is_flag=True, help="Serve the page to try it, and tokens for anyone: loopback listeners only.")
@click.option("--dev-router", metavar="HOST:PORT", help="A router's HTTP address, for the page's calls.")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting.")
def command(file: Path | None, assignments: tuple[str, ...], dev: bool, **flags: str | None) -> int:
    """Run one gateway until SIGTERM or Ctrl-C.

    Example: homing gateway --config .homing/homing.toml --listen 127.0.0.1:0
    """
    named = [f"gateway.{name}={value}" for name, value in flags.items() if value is not None]
    named += ["gateway.dev=true"] if dev else []
    try:
        settings = load(config.GatewayConfig, file, os.environ, [*assignments, *named])
        tokens = config.tokens(settings.auth)
        developer = config.development_issuer(settings) if settings.gateway.dev else None
    except ConfigurationError as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    logs.set_up(settings.log.level, service="gateway")

    async def main(stop: Stop) -> None:
        try:
            await GatewayProcess(settings, tokens, developer).run(stop)
        except* (StoreError, RegistryError) as error:
            raise CannotStart(f"registry: {error.exceptions[0]}") from None

    return run(main)


def main(arguments: list[str]) -> int:
    """The command line; the answer is the exit code."""
    return run_command(command, "homing gateway", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
