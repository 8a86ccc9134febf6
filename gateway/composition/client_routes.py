"""The table of a gateway's ways in, by path."""

import logging
import time

from gateway import config
from gateway.access import Access
from gateway.authentication import Authentication
from gateway.composition.base import Base
from gateway.composition.node_parts import NodeParts
from gateway.composition.registry_parts import RegistryParts
from gateway.door.address_limit import AddressLimit
from gateway.door.admission import Origins
from gateway.door.development import is_page
from gateway.door.echo import EchoEndpoint
from gateway.door.pages import DevelopmentPages
from gateway.door.ports import PathHandler
from gateway.door.routes import Routes
from gateway.door.websocket_endpoint import NO_FRAMINGS, WebSocketEndpoint
from gateway.engineio.endpoint import EngineDoor, EngineEndpoint, EngineSettings
from gateway.wire.bare import BARE
from gateway.wire.deflate import deflate_framings
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.envelope_msgpack import MsgpackEnvelope
from gateway.wire.messages import MessageLimits
from gateway.wire.socketio import ROOT
from gateway.wire.socketio_codec import default_codec
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules

log = logging.getLogger(__name__)


class ClientRoutes:
    """The ways in, by path."""

    def __init__(self, base: Base, registry: RegistryParts, access: Access, addresses: AddressLimit) -> None:
        settings, section = base.settings, base.settings.gateway
        local = settings.auth.local_origins or access.developer is not None
        limits = MessageLimits(max_message=section.max_message, seconds=section.message_seconds)
        self._base = base
        self._registry = registry
        self._access = access
        self._origins = Origins(frozenset(settings.auth.origins), local)
        self._uploads = UploadRules(limits, UnfinishedMessages(section.unfinished_bytes), base.uploads.schedule_after)
        self._addresses = addresses

    def table(self, authentication: Authentication, nodes: NodeParts) -> Routes:
        """The handler of each path."""
        base, section, access = self._base, self._base.settings.gateway, self._access
        paths: dict[str, PathHandler] = {config.CLIENT_PATH: self._websockets(authentication)}
        if section.socketio.enabled:
            door = self._engine_door(nodes)
            paths |= dict.fromkeys(config.SOCKETIO_PATHS, EngineEndpoint(door, nodes.socketio, default_codec(ROOT)))
            paths |= dict.fromkeys(config.ENGINEIO_PATHS, EngineEndpoint(door, authentication, BARE))
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
            (BARE, JsonEnvelope(), MsgpackEnvelope()),
            access.proxies,
            framings=deflate_framings(compression) if compression.enabled else NO_FRAMINGS,
            addresses=self._addresses,
        )

    def _engine_door(self, nodes: NodeParts) -> EngineDoor:
        section, registry, access = self._base.settings.gateway, self._registry, self._access
        heartbeat = section.heartbeat
        return EngineDoor(
            *(self._origins, access.tokens.verify, access.proxies, self._addresses, self._uploads, nodes.engines),
            EngineSettings(round(heartbeat.longest() * 1000), round(heartbeat.timeout * 1000), section.max_message),
            self._base.deadlines,
            lambda: registry.loop.registration.id_generator.next_id(time.time_ns() // 1_000_000),
            nodes.owners,
        )
