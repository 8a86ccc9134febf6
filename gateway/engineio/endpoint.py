"""Shell: the way in at `/socket.io/` and `/engine.io/`: HTTP long-polling and WebSockets of Engine.IO connections."""

import logging
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from gateway.close_codes import CONNECTION_LOST
from gateway.door.address_limit import AddressLimit
from gateway.door.admission import Origins, check_arrival
from gateway.door.head import Head
from gateway.door.ports import AdmissionPort, PendingRequest
from gateway.door.proxies import TrustedProxies
from gateway.door.upgrade import Handshake, check_upgrade
from gateway.door.values import Arrival, Refusal
from gateway.door.websocket_endpoint import TOO_MANY, WebSocketOpener
from gateway.engineio import answers
from gateway.engineio.connections import EngineConnections
from gateway.engineio.exchange import HttpExchange
from gateway.engineio.ids import SECRET_BYTES, ConnectionId
from gateway.engineio.owners import ConnectionOwners
from gateway.engineio.polls import LocalPoll, post
from gateway.engineio.requests import (
    BAD_REQUEST,
    FORBIDDEN,
    UNKNOWN_ID,
    EngineError,
    EngineRequest,
    Purpose,
    as_error,
    judge,
)
from gateway.engineio.transport import EngineTransport
from gateway.engineio.websocket import EngineWebSocket, LocalUpgrade, ProbingWebSocket, UpgradeTarget
from gateway.identity.ports import Verify
from gateway.sessions.timer import Deadlines
from gateway.wire.engineio import OPEN
from gateway.wire.ports import Codec, TransportHandler
from gateway.wire.uploads import UploadRules
from registry.ids import IdsExhausted
from runtime.process.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)

NO_IDS = EngineError(3, "this gateway cannot make new ids; connect again", 503, (("Retry-After", "1"),))
FAILED = EngineError(3, "this gateway failed; it is not your fault", 500)


class EngineSettings(NamedTuple):
    """What the open packet tells, in milliseconds and bytes."""

    ping_interval_ms: int  # between two pings at most
    ping_timeout_ms: int
    max_payload: int


NextId = Callable[[], int]
"""Makes the number of a connection (`registry.ids`). Raises IdsExhausted."""


class EngineDoor(NamedTuple):
    """What the endpoints of a node share."""

    origins: Origins
    verify: Verify
    proxies: TrustedProxies
    addresses: AddressLimit
    uploads: UploadRules
    connections: EngineConnections[EngineTransport]
    settings: EngineSettings
    deadlines: Deadlines
    next_id: NextId
    owners: ConnectionOwners


class EngineEndpoint:
    """A `gateway.door.ports.PathHandler`."""

    def __init__(self, door: EngineDoor, admission: AdmissionPort, codec: Codec) -> None:
        """`codec`: what arriving clients speak; bare: they need a token in the handshake."""
        self._door = door
        self._admission = admission
        self._codec = codec
        self._tasks = BackgroundTasks()
        self._opener = WebSocketOpener(door.uploads._replace(on_end=_ignore_end), {})

    async def close(self) -> None:
        """Admit nobody more; end the connections that are polling, whose transports are ours."""
        await self._tasks.close()

    def serve(self, request: PendingRequest, head: Head, behind: bytes) -> None:
        judged = judge(head)
        if not self._door.origins.allow(head.headers.get("origin")):
            judged = FORBIDDEN
        if isinstance(judged, EngineRequest) and judged.purpose in (Purpose.OPEN, Purpose.HANDSHAKE):
            self._serve_new(request, head, behind, judged)
            return
        handshake = None
        if isinstance(judged, EngineRequest) and judged.purpose is Purpose.UPGRADE:
            handshake = check_upgrade(head, ())
            judged = as_error(handshake) if isinstance(handshake, Refusal) else judged
        if isinstance(judged, EngineRequest) and isinstance(handshake, Handshake):
            upgrading = self._upgrade(request, head, behind, judged, handshake)
            request.wait_for(self._tasks.start(upgrading))
            return
        transport = request.release()
        if transport is None:
            return
        exchange = HttpExchange(request, transport, head, behind, self._door.uploads)
        if isinstance(judged, EngineError):
            _refuse(exchange, judged)
        else:
            self._serve_known(exchange, judged)

    # Requests of connections that are there -------------------------------------------------------------------------

    def _serve_known(self, exchange: HttpExchange, judged: EngineRequest) -> None:
        if judged.purpose is Purpose.PREFLIGHT:
            exchange.reply(204, b"", headers=answers.preflight_headers(exchange.head))
            return
        assert judged.id is not None
        if judged.purpose is Purpose.POST:
            id = judged.id
            exchange.read_body(lambda body: self._post(exchange, id, body))
            return
        engine = self._door.connections.find(judged.id)
        if engine is None and self._door.owners.knows(judged.id):
            self._door.owners.relay_poll(exchange, judged.id)
        elif engine is None:
            _refuse(exchange, UNKNOWN_ID)
        elif not engine.is_polling:
            _refuse(exchange, BAD_REQUEST)
        else:
            engine.on_poll(LocalPoll(exchange, engine))

    def _post(self, exchange: HttpExchange, id: ConnectionId, body: bytes) -> None:
        engine = self._door.connections.find(id)
        if engine is None and self._door.owners.knows(id):
            self._door.owners.relay_post(exchange, id, body)
        elif engine is None:
            _refuse(exchange, UNKNOWN_ID)
        else:
            post(engine, body, lambda error: _answer_post(exchange, error))

    async def _upgrade(
        self, request: PendingRequest, head: Head, behind: bytes, judged: EngineRequest, handshake: Handshake
    ) -> None:
        assert judged.id is not None
        target = await self._find_upgrade(judged.id)
        transport = request.release()
        if transport is None:
            if not isinstance(target, EngineError):
                target.give_up()
        elif isinstance(target, EngineError):
            _refuse(HttpExchange(request, transport, head, behind, self._door.uploads), target)
        else:
            probing = ProbingWebSocket(target, self._door.deadlines)
            self._opener.open(transport, probing, handshake, behind, request.address)

    async def _find_upgrade(self, id: ConnectionId) -> UpgradeTarget | EngineError:
        engine = self._door.connections.find(id)
        if engine is not None:
            return LocalUpgrade(engine) if engine.is_polling else BAD_REQUEST
        found = await self._door.owners.find_upgrade(id) if self._door.owners.knows(id) else None
        return found or UNKNOWN_ID

    # New connections ------------------------------------------------------------------------------------------------

    def _serve_new(self, request: PendingRequest, head: Head, behind: bytes, judged: EngineRequest) -> None:
        door = self._door
        handshake = check_upgrade(head, ()) if judged.purpose is Purpose.OPEN else None
        address = door.proxies.forwarded(head, request.address)
        checked: Arrival | Refusal
        if isinstance(handshake, Refusal):
            checked = handshake
        elif not door.addresses.has_room(address):
            checked = TOO_MANY
        else:
            checked = check_arrival(
                head, self._codec, door.origins, door.verify, address, time.time(), request.certified
            )
        request.wait_for(self._tasks.start(self._admit(request, head, behind, checked, handshake)))

    async def _admit(
        self,
        request: PendingRequest,
        head: Head,
        behind: bytes,
        arrival: Arrival | Refusal,
        handshake: Handshake | Refusal | None,
    ) -> None:
        if isinstance(arrival, Arrival) and not self._door.addresses.enter(arrival.address):
            arrival = TOO_MANY
        admitted = await self._enter(arrival)
        transport = request.release()
        if isinstance(arrival, Arrival) and (transport is None or isinstance(admitted, EngineError)):
            self._door.addresses.leave(arrival.address)
        if isinstance(admitted, EngineError):
            if transport is not None:
                _refuse(HttpExchange(request, transport, head, behind, self._door.uploads), admitted)
            return
        assert isinstance(arrival, Arrival)
        handler, id = admitted
        if transport is None:
            handler.on_close(CONNECTION_LOST.code, CONNECTION_LOST.reason)
            return
        engine = self._make(id, handler, arrival.address)
        if isinstance(handshake, Handshake):
            carrying = EngineWebSocket(engine, lambda: self._open(engine, handler, ()))
            self._opener.open(transport, carrying, handshake, behind, arrival.address)
        else:
            exchange = HttpExchange(request, transport, head, behind, self._door.uploads)
            engine.on_poll(LocalPoll(exchange, engine))
            self._open(engine, handler, ("websocket",))

    async def _enter(self, arrival: Arrival | Refusal) -> tuple[TransportHandler, ConnectionId] | EngineError:
        if isinstance(arrival, Refusal):
            return as_error(arrival)
        try:
            id = ConnectionId(self._door.next_id(), secrets.token_urlsafe(SECRET_BYTES))
            handler = await self._admission.enter(arrival)
        except IdsExhausted:
            return NO_IDS
        except Exception:
            log.exception("admitting a client failed", extra={"peer": arrival.address})
            return FAILED
        return as_error(handler) if isinstance(handler, Refusal) else (handler, id)

    def _make(self, id: ConnectionId, handler: TransportHandler, address: str) -> EngineTransport:
        def on_end(engine: EngineTransport) -> None:
            self._door.connections.remove(engine)
            self._door.addresses.leave(address)

        engine = EngineTransport(id, handler, self._door.deadlines, on_end)
        self._door.connections.add(engine)
        return engine

    def _open(self, engine: EngineTransport, handler: TransportHandler, upgrades: tuple[str, ...]) -> None:
        settings = self._door.settings
        facts = {
            "sid": str(engine.id),
            "upgrades": upgrades,
            "pingInterval": settings.ping_interval_ms,
            "pingTimeout": settings.ping_timeout_ms,
            "maxPayload": settings.max_payload,
        }
        engine.send_own(OPEN, msgspec.json.encode(facts))
        handler.on_open(engine)


def _answer_post(exchange: HttpExchange, error: EngineError | None) -> None:
    if error is None:
        exchange.reply(200, answers.POSTED)
    else:
        _refuse(exchange, error)


def _refuse(exchange: HttpExchange, error: EngineError) -> None:
    log.info("request refused: %s", error.message, extra={"status": error.status, "code": error.code})
    exchange.refuse(error)


def _ignore_end(_address: str) -> None:
    """Addresses are counted by connections, whatever carries them."""
