"""Shell: the way in at `/ws`: checks the upgrade and the client, waits for admission, starts the WebSocket."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from gateway.close_codes import CONNECTION_LOST
from gateway.door.address_limit import AddressLimit
from gateway.door.admission import Origins, check_arrival
from gateway.door.answers import switching
from gateway.door.head import Head
from gateway.door.ports import AdmissionPort, PendingRequest
from gateway.door.proxies import NO_PROXIES, TrustedProxies
from gateway.door.upgrade import Handshake, check_upgrade
from gateway.door.values import Arrival, Refusal
from gateway.identity.ports import Verify
from gateway.wire.frames import WEBSOCKET
from gateway.wire.ports import Codec, Framing, TransportHandler
from gateway.wire.uploads import UploadRules
from gateway.wire.websocket import WebSocketTransport
from runtime.process.background_tasks import BackgroundTasks

DISCARD = 16 * 1024 * 1024  # bytes up to which a message over the limit is discarded, and not a violation
NO_FRAMINGS: Mapping[int, Framing] = {}
RETRY_SECONDS = 5  # for a client whose address has too many connections

log = logging.getLogger(__name__)

TOO_MANY = Refusal(429, "rate", "too many connections from this address", (("Retry-After", str(RETRY_SECONDS)),))
_ADMISSION_FAILED = Refusal(500, "internal", "this gateway failed; it is not your fault")


class WebSocketEndpoint:
    """A `gateway.door.ports.PathHandler` for plain WebSockets."""

    def __init__(
        self,
        origins: Origins,
        uploads: UploadRules,
        admission: AdmissionPort,
        verify: Verify,
        codecs: Iterable[Codec],
        proxies: TrustedProxies = NO_PROXIES,
        clock: Callable[[], float] = time.time,
        framings: Mapping[int, Framing] = NO_FRAMINGS,
        addresses: AddressLimit | None = None,
    ) -> None:
        """`codecs`: one per subprotocol that is spoken. `clock`: seconds since the Unix epoch, for tokens. `framings`:
        those that compress, by window bits; none: nothing is compressed. `addresses`: None: no limit."""
        self._addresses = AddressLimit() if addresses is None else addresses
        uploads = uploads._replace(on_end=self._addresses.leave)
        self._origins = origins
        self._admission = admission
        self._proxies = proxies
        self._verify = verify
        self._codecs = {codec.name: codec for codec in codecs}
        self._subprotocols = frozenset(self._codecs) - {""}
        discard = max(DISCARD, uploads.limits.max_message)
        discarding = uploads._replace(limits=msgspec.structs.replace(uploads.limits, discard=discard))
        # By subprotocol: only an envelope can say that a message was too large.
        self._openers = {"": WebSocketOpener(uploads, framings)} | dict.fromkeys(
            self._subprotocols, WebSocketOpener(discarding, framings)
        )
        self._window_bits = frozenset(framings)
        self._clock = clock
        self._tasks = BackgroundTasks()

    def serve(self, request: PendingRequest, head: Head, behind: bytes) -> None:
        checked = self._check(head, request)
        if isinstance(checked, Refusal):
            request.refuse(checked)
        else:
            request.wait_for(self._tasks.start(self._admit(request, *checked, behind)))

    async def close(self) -> None:
        """Admit nobody more; WebSockets that are open are not ours."""
        await self._tasks.close()

    def _check(self, head: Head, request: PendingRequest) -> tuple[Handshake, Arrival] | Refusal:
        handshake = check_upgrade(head, self._subprotocols, self._window_bits)
        if isinstance(handshake, Refusal):
            return handshake
        codec = self._codecs[handshake.subprotocol]
        address = self._proxies.forwarded(head, request.address)
        if not self._addresses.has_room(address):
            return TOO_MANY
        now = self._clock()
        arrival = check_arrival(head, codec, self._origins, self._verify, address, now, request.certified)
        return arrival if isinstance(arrival, Refusal) else (handshake, arrival)

    async def _admit(self, request: PendingRequest, handshake: Handshake, arrival: Arrival, behind: bytes) -> None:
        if not self._addresses.enter(arrival.address):  # others came in since its head was checked
            request.refuse(TOO_MANY)
            return
        is_open = False
        try:
            admitted = await self._enter(arrival)
            if isinstance(admitted, Refusal):
                request.refuse(admitted)
            else:
                is_open = self._open(request.release(), handshake, admitted, behind, arrival)
        finally:
            if not is_open:
                self._addresses.leave(arrival.address)

    async def _enter(self, arrival: Arrival) -> TransportHandler | Refusal:
        try:
            return await self._admission.enter(arrival)
        except Exception:
            log.exception("admitting a client failed", extra={"peer": arrival.address})
            return _ADMISSION_FAILED

    def _open(
        self,
        transport: asyncio.Transport | None,
        handshake: Handshake,
        handler: TransportHandler,
        behind: bytes,
        arrival: Arrival,
    ) -> bool:
        """False: the client is gone."""
        if transport is None:
            handler.on_close(CONNECTION_LOST.code, CONNECTION_LOST.reason)
            return False
        self._openers[arrival.codec.name].open(transport, handler, handshake, behind, arrival.address)
        return True


class WebSocketOpener:
    """Opens WebSockets whose handshakes were checked, all with the same limits."""

    def __init__(self, uploads: UploadRules, framings: Mapping[int, Framing]) -> None:
        self._uploads = uploads
        self._inflating = uploads._replace(limits=msgspec.structs.replace(uploads.limits, inflate=True))
        self._framings = framings

    def open(
        self,
        transport: asyncio.Transport,
        handler: TransportHandler,
        handshake: Handshake,
        behind: bytes,
        address: str,
    ) -> None:
        """`transport`: its reading is paused. `behind`: bytes received after the head."""
        deflate = handshake.deflate
        framing = self._framings[deflate.window_bits] if deflate else WEBSOCKET
        websocket = WebSocketTransport(
            transport, handler, self._inflating if deflate else self._uploads, address, framing
        )
        transport.set_protocol(websocket)
        websocket.open(switching(handshake), behind)
