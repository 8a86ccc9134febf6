"""Shell: a channel: many calls over one connection to one of several servers, connected on first use and when lost.

Any server will do. The next one in turn is dialled when one cannot be reached, and by `switch_server` when one does not
answer; open calls continue on the old connection until they end. While calls are open, a silent server is pinged,
because a frozen process keeps its sockets.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from google.protobuf.message import Message

from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.client import ClientProtocol
from runtime.grpc_wire.events import GoAwayReceived, Http2Event
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.status import DEADLINE_EXCEEDED, INTERNAL, OK, UNAVAILABLE, StreamEnded, request_headers

KEEPALIVE_TIME: Final = 10.0  # seconds between two PINGs while calls are open; etcd allows 5 (etcd-io/etcd#15719)
KEEPALIVE_TIMEOUT: Final = 3.0  # seconds from a PING until any bytes of the server
CONNECT_TIMEOUT: Final = 1.0  # seconds for one address, TLS included: a blackholed address never refuses

Address = tuple[str, int]
Resolve = Callable[[], Awaitable[Sequence[Address]]]
"""Gives the addresses of the servers. OSError when there is none."""


class Tls(NamedTuple):
    """TLS of a channel. `server_name`: in the servers' certificate; "": the host that was dialled."""

    context: ssl.SSLContext
    server_name: str = ""


class Channel:
    """Calls to one of the servers that `resolve` gives."""

    def __init__(self, resolve: Resolve, tls: Tls | None = None, limits: Http2Limits | None = None) -> None:
        self._resolve = resolve
        self._tls = tls
        self._limits = limits or Http2Limits()
        self._current: _ChannelConnection | None = None
        self._connections: set[_ChannelConnection] = set()  # also draining ones
        self._turn = 0  # which address is dialled next
        self._connecting = asyncio.Lock()
        self._closed = False

    async def call(self, path: str, handler: StreamHandler, metadata: HeaderFields | None = None) -> Call:
        """Open a stream; its headers are written with the first message. OSError: no server can be reached.

        Cancel a call that is no longer needed.
        """
        connection = await self._connected()
        headers = [*request_headers(path, connection.authority), *(metadata or ())]
        stream = connection.connection.open_stream(headers)
        call = connection.calls[stream] = Call(connection, stream, client=True)
        call.handler = handler
        return call

    def switch_server(self) -> None:
        """Use the next server for the next call."""
        connection, self._current = self._current, None
        if connection is not None:
            connection.drain()

    def close(self) -> None:
        """End every call as UNAVAILABLE; no call can be opened any more."""
        self._closed = True
        self._current = None
        for connection in list(self._connections):
            connection.close("the channel is closed")

    async def _connected(self) -> "_ChannelConnection":
        async with self._connecting:
            if self._closed:
                raise ConnectionError("the channel is closed")
            if self._current is None or not self._current.usable:
                full, self._current = self._current, await self._connect()
                if full is not None:
                    full.drain()
            return self._current

    async def _connect(self) -> "_ChannelConnection":
        addresses = list(await self._resolve())
        failure: OSError = ConnectionError("no address to dial")
        for _ in addresses:
            host, port = addresses[self._turn % len(addresses)]
            self._turn += 1
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    return await self._dial(host, port)
            except TimeoutError:
                failure = ConnectionError(f"{host}:{port} does not answer within {CONNECT_TIMEOUT:g} s")
            except OSError as error:
                failure = error
        raise failure

    async def _dial(self, host: str, port: int) -> "_ChannelConnection":
        connection = _ChannelConnection(self._limits, f"{host}:{port}", self._connections.discard)
        context = self._tls.context if self._tls else None
        name = (self._tls.server_name or host) if self._tls else None
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, host, port, ssl=context, server_hostname=name)
        try:
            await connection.settings  # before them, nobody knows how many streams the server takes
        except BaseException:
            connection.abort()
            raise
        if self._closed:
            connection.close("the channel is closed")
            raise ConnectionError("the channel is closed")
        self._connections.add(connection)
        return connection


class _ChannelConnection(ClientProtocol):
    """A connection for many calls. One that takes no more (it drains, or is full) is closed at the end of its last."""

    def __init__(
        self, limits: Http2Limits, authority: str, on_disconnected: Callable[["_ChannelConnection"], None]
    ) -> None:
        super().__init__(limits)
        self.authority = authority
        self._on_disconnected = on_disconnected
        self.settings: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._draining = False
        self._reads = 0  # of `data_received`
        self._keepalive: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether the connection takes another call."""
        if self.transport is None or self.transport.is_closing() or self._draining:
            return False
        return self.connection.can_open_stream

    def drain(self) -> None:
        """Take no more calls."""
        self._draining = True
        if not self.calls:
            self.close("another server is used")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._keepalive = asyncio.get_running_loop().call_later(KEEPALIVE_TIME, self._send_keepalive)

    def data_received(self, data: bytes) -> None:
        self._reads += 1
        super().data_received(data)
        if self.connection.settings_received and not self.settings.done():
            self.settings.set_result(None)

    def on_event(self, event: Http2Event) -> None:
        if isinstance(event, GoAwayReceived):
            self._draining = True
        super().on_event(event)

    def on_call_end(self, call: Call) -> None:
        self.calls.pop(call.stream, None)
        if self._draining and not self.calls:
            self.close("another server is used")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._keepalive is not None:
            self._keepalive.cancel()
        if not self.settings.done():
            self.settings.set_exception(exc or ConnectionError(f"{self.authority} closed the connection at once"))
        self._on_disconnected(self)
        super().connection_lost(exc)

    def _send_keepalive(self) -> None:
        """PING the server, but only while calls are open: servers take idle pings for abuse."""
        loop = asyncio.get_running_loop()
        if not self.calls:
            self._keepalive = loop.call_later(KEEPALIVE_TIME, self._send_keepalive)
            return
        self.connection.ping()
        self.flush()
        self._keepalive = loop.call_later(KEEPALIVE_TIMEOUT, self._check_keepalive, self._reads)

    def _check_keepalive(self, reads_before: int) -> None:
        if self._reads == reads_before:
            self.abort()
            return
        loop = asyncio.get_running_loop()
        self._keepalive = loop.call_later(KEEPALIVE_TIME - KEEPALIVE_TIMEOUT, self._send_keepalive)


class _UnaryHandler:
    """Receives the response of a unary call."""

    def __init__(self) -> None:
        self.response: bytes | None = None
        self.ended: asyncio.Future[StreamEnded] = asyncio.get_running_loop().create_future()

    def on_message(self, message: bytes) -> None:
        self.response = message

    def on_writable(self) -> None:
        """There is only one request."""

    def on_half_close(self) -> None:
        """Only servers receive a half-close."""

    def on_end(self, how: StreamEnded) -> None:
        if not self.ended.done():
            self.ended.set_result(how)


async def unary_call(
    channel: Channel, path: str, request: Message, timeout: float, metadata: HeaderFields | None = None
) -> bytes:
    """Send one request. The result is the response; any other status raises StreamEnded, also without a connection."""
    handler = _UnaryHandler()
    call: Call | None = None
    try:
        async with asyncio.timeout(timeout):
            call = await channel.call(path, handler, metadata)
            call.send_and_half_close(request.SerializeToString())
            how = await handler.ended
    except TimeoutError:
        raise StreamEnded(DEADLINE_EXCEEDED, f"no answer within {timeout:g} s") from None
    except OSError as error:
        raise StreamEnded(UNAVAILABLE, str(error) or type(error).__name__) from None
    finally:
        if call is not None:
            call.cancel()
    if how.status != OK:
        try:
            raise how
        finally:
            del how  # its traceback names this frame: a cycle
    if handler.response is None:
        raise StreamEnded(INTERNAL, "the answer has no message")
    return handler.response
