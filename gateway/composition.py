"""The composition of one gateway: its parts, bottom up, each complete when it is constructed.

Three groups build on one another: what keeps the node in the registry, what serves clients, what serves routers.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from gateway import adapters, config
from gateway.access import Access
from gateway.admission import Admission
from gateway.authentication import Authentication
from gateway.back_pressure import EventBackPressure, SlowConsumers
from gateway.client_commands import ClientCommands
from gateway.delivery.bus_endpoint import BusEndpoint
from gateway.delivery.dedup import Dedup
from gateway.delivery.node_requests import NodeRequestHandler
from gateway.delivery.node_server import NodeServer
from gateway.delivery.push_writer import PushWriter
from gateway.delivery.router_endpoint import NoObserver, RouterEndpoint
from gateway.delivery.router_streams import RouterStreams, set_lagging
from gateway.door.address_limit import AddressLimit
from gateway.door.admission import Origins
from gateway.door.development import is_page
from gateway.door.echo import EchoEndpoint
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.pages import DevelopmentPages
from gateway.door.ports import PathHandler
from gateway.door.routes import Routes
from gateway.door.socket_options import SocketOptions
from gateway.door.websocket_endpoint import NO_FRAMINGS, WebSocketEndpoint
from gateway.draining import Drain
from gateway.engineio.connections import EngineConnections
from gateway.engineio.endpoint import EngineDoor, EngineEndpoint, EngineSettings
from gateway.engineio.transport import EngineTransport
from gateway.events.traces import ClientTraces
from gateway.lifecycle import SessionLifecycle
from gateway.membership import FileMembership
from gateway.nodes import acknowledgements, relays, take_over
from gateway.nodes.acknowledgements import AckForwarder, AckHandler
from gateway.nodes.channels import NodeChannels
from gateway.nodes.hand_over import HandOverHandler, HandOvers
from gateway.nodes.owners import OtherNodes
from gateway.nodes.relay_server import RelayHandler
from gateway.nodes.relays import Relays
from gateway.nodes.take_over import TakeOvers
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.lease_gate import LeaseGate
from gateway.registration.loop import RegistrationLoop
from gateway.registration.session_registration import SessionRegistration
from gateway.session_commands import ClientSettings, SessionCommands
from gateway.sessions.acks import Acks
from gateway.sessions.heartbeat import Heartbeat
from gateway.sessions.index import Index
from gateway.sessions.rates import MessageRates
from gateway.sessions.session import Session
from gateway.sessions.timer import Timer, make_deadlines
from gateway.socketio.admission import SocketIoAdmission
from gateway.socketio.services import Services
from gateway.token_expiry import TokenExpiry
from gateway.views.port import NO_VIEWS
from gateway.wire.bare import Bare
from gateway.wire.deflate import deflate_framings
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.envelope_msgpack import MsgpackEnvelope
from gateway.wire.messages import MessageLimits
from gateway.wire.socketio import ROOT
from gateway.wire.socketio_codec import default_codec
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import Deadlined, UploadRules
from homing.internal.v1 import node_pb2
from observability import names, span_export
from observability.counters import counters
from registry.lease_state import LeaseState
from registry.model import Node
from registry.node_directory import NodeDirectory
from registry.registrar import StoreRegistrar, boottime
from runtime.grpc_wire.server import MakeStreamHandler
from runtime.process.background_tasks import BackgroundTasks
from runtime.process.pauses import Pauses

VERSION = "0.1.0"

log = logging.getLogger(__name__)


Engines = EngineConnections[EngineTransport]


class Base:
    """What every group of parts uses."""

    def __init__(self, settings: config.GatewayConfig) -> None:
        self.settings = settings
        self.node_id = config.node_id(settings.gateway.node_id)
        self.counters = counters(names.GATEWAY)
        self.tracer, self.spans = span_export.set_up(
            settings.trace,
            self.counters,
            service_name="homing-gateway",
            service_namespace=settings.registry.cluster,
            service_instance_id=self.node_id,
        )
        self.tasks = BackgroundTasks()
        loop = asyncio.get_running_loop()
        self.deadlines = make_deadlines(loop)
        self.uploads = Timer[Deadlined](1.0, lambda transport, _now: transport.on_deadline(), loop)
        self.index = Index[Session]()
        self.acks = Acks(self._machine)
        self.dedup = Dedup(settings.gateway.dedup, self.counters)
        self.slow = SlowConsumers(settings.gateway.slow, self.deadlines, self.counters)
        self.writer = PushWriter(
            *(self.node_id, self.index, self.acks, self.dedup, self.slow, self.deadlines, self.counters, self.tracer),
            has_namespaces=settings.gateway.socketio.namespaces != (ROOT,),
        )
        self.sink = adapters.event_sink(settings, self.counters)
        self.bus_probe = adapters.bus_probe(settings)
        self.views = adapters.views(settings, self.node_id)
        self.machine: Callable[[], int] = lambda: 0  # of the current incarnation, as the registry's parts know it

    def _machine(self) -> int:
        return self.machine()


class RegistryParts:
    """What keeps this node and its sessions in the registry."""

    def __init__(self, base: Base, node: Callable[[int], Node]) -> None:
        """`node` makes the node's value in the registry, given its machine id."""
        self.barrier = RouteAckBarrier(on_lag=set_lagging)
        self.streams = RouterStreams(base.counters, boottime)
        self.store = adapters.store(base.settings)
        settings = base.settings.registry
        registrar = StoreRegistrar(self.store, settings, base.node_id, node, self.streams.notify_unregistered)
        self.pauses = Pauses(boottime)
        self.loop = RegistrationLoop(registrar, base.index, self.barrier, base.counters, self.pauses)
        self.lease = LeaseGate(self.loop, self.streams)
        self.sessions = SessionRegistration(self.loop, base.index, self.barrier, base.counters)
        self.directory = NodeDirectory(self.store, settings.cluster)
        base.machine = lambda: self.loop.registration.machine


class ClientParts:
    """What serves clients, from the client port to the event records."""

    def __init__(self, base: Base, registry: RegistryParts, access: Access) -> None:
        tokens = access.tokens
        section, counted, views = base.settings.gateway, base.counters, base.views or NO_VIEWS
        self.expiry = TokenExpiry(base.settings.auth.leeway, asyncio.get_running_loop())
        rates = MessageRates(section.limits, section.max_message, time.monotonic)
        self.heartbeat = Heartbeat(section.heartbeat, rates, counted, asyncio.get_running_loop())
        if section.heartbeat.outlasts_proxies():
            log.warning("heartbeats are rarer than proxies allow", extra={"seconds": section.heartbeat.longest()})
        self.events = EventBackPressure(base.sink, base.tasks, rates)
        self.lifecycle = SessionLifecycle(registry.sessions, base.index, base.sink, self.heartbeat, views, counted)
        self.membership = FileMembership(registry.sessions, base.sink, views, section.max_files)
        traces = ClientTraces(base.tracer, base.node_id)
        sessions = SessionCommands(
            ClientSettings(base.node_id, round(section.heartbeat.longest() * 1000), section.max_message),
            self.lifecycle,
            self.membership,
            base.sink,
            self.events,
            base.slow,
            self.expiry,
            traces,
            base.tasks,
            counted,
        )
        commands = ClientCommands(sessions, tokens.verify, base.acks, rates, counted)
        self.admission = Admission(
            registry.sessions, registry.lease, self.events, self.lifecycle, traces, section.max_files, counted
        )
        self.authentication = Authentication(
            self.admission, tokens.verify, commands, self.lifecycle, section.slow, base.deadlines, base.tasks
        )
        self.channels = NodeChannels(registry.directory, access.secret)
        services = Services(
            frozenset(section.socketio.namespaces),
            self.admission,
            sessions,
            tokens.verify,
            AckForwarder(base.acks, self.channels, base.tasks),
            rates,
            base.deadlines,
            base.tasks,
            section.max_message,
            set(),
        )
        self.engines = Engines()
        self.socketio = SocketIoAdmission(services, section.slow)
        owners = OtherNodes(self.channels, Relays(self.channels, base.tasks, counted))
        routing = _Routing(base, registry, access)
        routes = routing.routes(self.authentication, self.socketio, self.engines, owners)
        owners.take_overs = TakeOvers(
            *(self.engines, routing.addresses, services, commands, self.admission, sessions, base.dedup),
            *(section.slow, base.deadlines, base.tasks, counted),
        )
        may_act = lambda: registry.lease.lease_state() is LeaseState.HELD  # noqa: E731
        hand_overs = HandOvers(self.engines, sessions, base.dedup, base.deadlines, may_act)
        self.node_methods: dict[str, MakeStreamHandler] = {
            relays.PATH: lambda call: RelayHandler(self.engines, call),
            take_over.PATH: lambda call: HandOverHandler(hand_overs, call),
            acknowledgements.PATH: lambda call: AckHandler(base.acks, call),
        }
        limits = HandshakeLimits(max_pending=section.max_handshakes)
        options = SocketOptions(section.heartbeat.longest(), section.heartbeat.timeout, section.max_segment)
        self.listener = ClientListener(routes, limits, counted, access.certificates, access.proxies, options)
        self.drain = Drain(
            self.listener,
            self.admission,
            self._close_waiting,
            self.lifecycle,
            base.index,
            registry.loop,
            base.writer.finalize_all,
            section.drain,
        )

    def _close_waiting(self) -> None:
        self.authentication.close_waiting()
        self.socketio.close_waiting()


class RouterParts:
    """What serves routers: the node port and, in broadcast mode, the bus."""

    def __init__(
        self,
        base: Base,
        registry: RegistryParts,
        clients: ClientParts,
        access: Access,
        stats: Callable[[], node_pb2.Stats],
    ) -> None:
        counted, writer = base.counters, base.writer
        subscriber = adapters.subscriber(base.settings)
        self.bus = BusEndpoint(subscriber, registry.lease, writer, counted) if subscriber is not None else None
        endpoint = RouterEndpoint(
            registry.streams,
            registry.lease,
            registry.barrier,
            writer,
            NodeRequestHandler(base.index, clients.membership, writer, base.slow),
            stats,
            base.deadlines,
            base.tasks,
            counted,
            self.bus or NoObserver(),
        )
        self.server = NodeServer(endpoint, access.secret, clients.node_methods)


class _Routing:
    """The ways in, by path."""

    def __init__(self, base: Base, registry: RegistryParts, access: Access) -> None:
        settings, section = base.settings, base.settings.gateway
        local = settings.auth.local_origins or access.developer is not None
        limits = MessageLimits(max_message=section.max_message, seconds=section.message_seconds)
        self._base = base
        self._registry = registry
        self._access = access
        self._origins = Origins(frozenset(settings.auth.origins), local)
        self._uploads = UploadRules(limits, UnfinishedMessages(section.unfinished_bytes), base.uploads.schedule_after)
        self.addresses = AddressLimit(section.limits.connections_per_address)

    def routes(
        self,
        authentication: Authentication,
        socketio: SocketIoAdmission,
        engines: Engines,
        owners: OtherNodes,
    ) -> Routes:
        """The table."""
        base, section, access = self._base, self._base.settings.gateway, self._access
        paths: dict[str, PathHandler] = {config.CLIENT_PATH: self._websockets(authentication)}
        if section.socketio.enabled:
            door = self._engine_door(engines, owners)
            paths |= dict.fromkeys(config.SOCKETIO_PATHS, EngineEndpoint(door, socketio, default_codec(ROOT)))
            paths |= dict.fromkeys(config.ENGINEIO_PATHS, EngineEndpoint(door, authentication, Bare()))
        if section.echo_path:
            warning = "the echo for test suites is open to anyone: not for production"
            log.warning(warning, extra={"path": section.echo_path})
            paths[section.echo_path] = EchoEndpoint(base.uploads.schedule_after)
        if access.developer is None:
            return Routes(paths)
        scheme = "http" if access.certificates is None else "https"
        pages = DevelopmentPages(access.developer, section.dev_router, scheme)
        return Routes(paths, ((is_page, pages),))

    def _websockets(self, authentication: Authentication) -> WebSocketEndpoint:
        compression, access = self._base.settings.gateway.compression, self._access
        return WebSocketEndpoint(
            *(self._origins, self._uploads, authentication, access.tokens.verify),
            (Bare(), JsonEnvelope(), MsgpackEnvelope()),
            access.proxies,
            framings=deflate_framings(compression) if compression.enabled else NO_FRAMINGS,
            addresses=self.addresses,
        )

    def _engine_door(self, engines: Engines, owners: OtherNodes) -> EngineDoor:
        section, registry, access = self._base.settings.gateway, self._registry, self._access
        heartbeat = section.heartbeat
        return EngineDoor(
            *(self._origins, access.tokens.verify, access.proxies, self.addresses, self._uploads, engines),
            EngineSettings(round(heartbeat.longest() * 1000), round(heartbeat.timeout * 1000), section.max_message),
            self._base.deadlines,
            lambda: registry.loop.registration.id_generator.next_id(time.time_ns() // 1_000_000),
            owners,
        )
