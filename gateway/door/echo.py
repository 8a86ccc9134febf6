"""Shell: a path that sends back each message, to anyone, without a session: for conformance suites from outside.

Its limits are those of the suites (17 MiB a message, any number of frames), not of clients, and it compresses every
message, even one that grows by it: never switch it on in production.
"""

from gateway.door.head import Head
from gateway.door.ports import PendingRequest
from gateway.door.upgrade import check_upgrade
from gateway.door.values import Refusal
from gateway.door.websocket_endpoint import WebSocketOpener
from gateway.wire.deflate import CompressionSettings, deflate_framings
from gateway.wire.messages import MessageLimits
from gateway.wire.ports import ClientTransport
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules, Watch
from gateway.wire.values import Message

MAX_MESSAGE = 17 * 1024 * 1024  # bytes
_UNFINISHED = 1 << 30  # bytes of all its clients: a budget of their own


class EchoEndpoint:
    """A `gateway.door.ports.PathHandler` that needs no token."""

    def __init__(self, watch: Watch) -> None:
        limits = MessageLimits(MAX_MESSAGE, max_fragments=0)
        self._framings = deflate_framings(CompressionSettings(), always=True)
        self._opener = WebSocketOpener(UploadRules(limits, UnfinishedMessages(_UNFINISHED), watch), self._framings)

    def serve(self, request: PendingRequest, head: Head, behind: bytes) -> None:
        handshake = check_upgrade(head, (), self._framings)
        if isinstance(handshake, Refusal):
            request.refuse(handshake)
        elif (transport := request.release()) is not None:
            transport.pause_reading()
            self._opener.open(transport, EchoHandler(), handshake, behind, request.address)

    async def close(self) -> None:
        """Nothing waits here."""


class EchoHandler:
    """A `gateway.wire.ports.TransportHandler` that sends back every message, as fast as its client reads."""

    __slots__ = ("_transport",)

    def on_open(self, transport: ClientTransport) -> None:
        self._transport = transport

    def on_message(self, text: bool, payload: bytes) -> None:
        transport = self._transport
        if not transport.send(transport.framing.frame((Message(text, (payload,)),))):
            transport.pause_reading()

    def on_too_large(self, size: int) -> None: ...
    def on_pong(self) -> None: ...
    def on_partial(self) -> None: ...
    def on_blocked(self) -> None: ...

    def on_writable(self) -> None:
        self._transport.resume_reading()

    def on_reframed(self) -> None:
        """A WebSocket is never upgraded."""

    def on_close(self, code: int, reason: str) -> None:
        del self._transport
