"""What serves a gateway's clients, from the port to the event records."""

import asyncio
import logging
import time

from gateway.access import Access
from gateway.admission import Admission
from gateway.authentication import Authentication
from gateway.back_pressure import EventBackPressure
from gateway.client_commands import ClientCommands
from gateway.composition.base import Base
from gateway.composition.client_routes import ClientRoutes
from gateway.composition.delivery_parts import DeliveryParts
from gateway.composition.node_parts import NodeParts
from gateway.composition.registry_parts import RegistryParts
from gateway.door.address_limit import AddressLimit
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.socket_options import SocketOptions
from gateway.draining import Drain
from gateway.events.traces import ClientTraces
from gateway.lifecycle import SessionLifecycle
from gateway.membership import FileMembership
from gateway.session_commands import ClientSettings, SessionCommands
from gateway.sessions.heartbeat import Heartbeat
from gateway.sessions.rates import MessageRates
from gateway.token_expiry import TokenExpiry
from gateway.views.port import NO_VIEWS

log = logging.getLogger(__name__)


class ClientParts:
    """What serves clients, from the client port to the event records."""

    def __init__(self, base: Base, registry: RegistryParts, delivery: DeliveryParts, access: Access) -> None:
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
        commands = ClientCommands(sessions, tokens.verify, delivery.acks, rates, counted)
        self.admission = Admission(
            registry.sessions, registry.lease, self.events, self.lifecycle, traces, section.max_files, counted
        )
        self.authentication = Authentication(
            self.admission, tokens.verify, commands, self.lifecycle, section.slow, base.deadlines, base.tasks
        )
        addresses = AddressLimit(section.limits.connections_per_address)
        self.nodes = NodeParts(base, registry, delivery, access, addresses, self.admission, sessions, commands, rates)
        table = ClientRoutes(base, registry, access, addresses).table(self.authentication, self.nodes)
        limits = HandshakeLimits(max_pending=section.max_handshakes)
        options = SocketOptions(section.heartbeat.longest(), section.heartbeat.timeout, section.max_segment)
        self.listener = ClientListener(table, limits, counted, access.certificates, access.proxies, options)
        self.drain = Drain(
            self.listener,
            self.admission,
            self._close_waiting,
            self.lifecycle,
            base.index,
            registry.loop,
            delivery.writer.finalize_all,
            section.drain,
        )

    def _close_waiting(self) -> None:
        self.authentication.close_waiting()
        self.nodes.socketio.close_waiting()
