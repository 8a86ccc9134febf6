"""Shell: many calls over one connection to one of several servers, opened when it is needed and again when it is lost.

Which server it is does not matter to the caller: the next in turn is dialled when one cannot be reached, and by `renew`
when one does not answer; calls that are open on the old connection go on there for as long as they live. While calls
are open, a server that says nothing is asked (PING), because a frozen one keeps its sockets.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from google.protobuf.message import Message

from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.client import ClientProtocol
from runtime.grpc_wire.events import Event, GoAwayReceived
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.headerblocks import Headers
from runtime.grpc_wire.status import DEADLINE_EXCEEDED, INTERNAL, OK, UNAVAILABLE, StreamEnded, request

ASK: Final = 10.0  # seconds between two PINGs while calls are open; etcd wants at least 5 (etcd-io/etcd#15719)
ANSWER: Final = 3.0  # seconds in which something must be heard then
DIAL: Final = 1.0  # seconds for one address, TLS included: a blackholed one never refuses

Address = tuple[str, int]
Find = Callable[[], Awaitable[Sequence[Address]]]
"""Where the servers are now. Raises OSError when that cannot be told."""


class Tls(NamedTuple):
    """How servers are known; `server_name` "": by the host that was dialled."""

    context: ssl.SSLContext
    server_name: str = ""


class Channel:
    """Calls to one of the servers that `find` names."""

    def __init__(self, find: Find, tls: Tls | None = None, limits: Http2Limits | None = None) -> None:
        self._find = find
        self._tls = tls
        self._limits = limits or Http2Limits()
        self._wire: _SharedClientProtocol | None = None
        self._wires: set[_SharedClientProtocol] = set()  # also those that only their calls keep
        self._turn = 0  # which server is dialled first
        self._connecting = asyncio.Lock()
        self._closed = False

    async def call(self, path: str, handler: StreamHandler, more: Headers | None = None) -> Call:
        """Open a stream: what opens it leaves with the first that is sent. OSError: no server can be reached.

        `more`: metadata. Whoever is done with a call before its end cancels it.
        """
        wire = await self._connected()
        stream = wire.connection.open([*request(path, wire.name), *(more or ())])
        call = wire.calls[stream] = Call(wire, stream, client=True)
        call.handler = handler
        return call

    def renew(self) -> None:
        """The next call goes to the next server."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.retire()

    def close(self) -> None:
        """End every call as UNAVAILABLE, and open none again."""
        self._closed = True
        self._wire = None
        for wire in list(self._wires):
            wire.close("the channel is closed")

    async def _connected(self) -> "_SharedClientProtocol":
        async with self._connecting:
            if self._closed:
                raise ConnectionError("the channel is closed")
            if self._wire is None or not self._wire.usable:
                self._wire = await self._dial()
            return self._wire

    async def _dial(self) -> "_SharedClientProtocol":
        addresses = list(await self._find())
        failure: OSError = ConnectionError("no address to dial")
        for _ in addresses:
            host, port = addresses[self._turn % len(addresses)]
            self._turn += 1
            try:
                async with asyncio.timeout(DIAL):
                    return await self._open(host, port)
            except TimeoutError:
                failure = ConnectionError(f"{host}:{port} does not answer within {DIAL:g} s")
            except OSError as error:
                failure = error
        raise failure

    async def _open(self, host: str, port: int) -> "_SharedClientProtocol":
        wire = _SharedClientProtocol(self._limits, f"{host}:{port}", self._wires.discard)
        context = self._tls.context if self._tls else None
        name = (self._tls.server_name or host) if self._tls else None
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: wire, host, port, ssl=context, server_hostname=name)
        if self._closed:
            wire.close("the channel is closed")
            raise ConnectionError("the channel is closed")
        self._wires.add(wire)
        return wire


class _SharedClientProtocol(ClientProtocol):
    """A connection that lives for as long as its channel wants it, or its calls do."""

    def __init__(self, limits: Http2Limits, name: str, gone: Callable[["_SharedClientProtocol"], None]) -> None:
        super().__init__(limits)
        self.name = name
        self._gone = gone
        self._retired = False
        self._heard = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether it takes one more call."""
        return self.transport is not None and not self.transport.is_closing() and not self._retired

    def retire(self) -> None:
        """Take no more calls."""
        self._retired = True
        if not self.calls:
            self.close("another server is asked")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = asyncio.get_running_loop().call_later(ASK, self._ask)

    def data_received(self, data: bytes) -> None:
        self._heard += 1
        super().data_received(data)

    def on_event(self, event: Event) -> None:
        if isinstance(event, GoAwayReceived):
            self._retired = True
        super().on_event(event)

    def on_call_end(self, call: Call) -> None:
        self.calls.pop(call.stream, None)
        if self._retired and not self.calls:
            self.close("another server is asked")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._gone(self)
        super().connection_lost(exc)

    def _ask(self) -> None:
        """Without a call nobody is asked: servers take idle pings for abuse."""
        wait, then = ASK, self._ask
        if self.calls:
            on_data = self._heard
            self.connection.ping()
            self.flush()
            wait, then = ANSWER, lambda: self._judge(on_data)
        self._timer = asyncio.get_running_loop().call_later(wait, then)

    def _judge(self, on_data: int) -> None:
        if self._heard == on_data:
            self.abort()
        else:
            self._timer = asyncio.get_running_loop().call_later(ASK - ANSWER, self._ask)


class _UnaryResponseHandler:
    """Hears a call that is answered by one message."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.over: asyncio.Future[StreamEnded] = asyncio.get_running_loop().create_future()

    def on_message(self, message: bytes) -> None:
        self.answer = message

    def on_writable(self) -> None:
        """One question is all there is."""

    def on_half_close(self) -> None:
        """A server's stream ends with a status."""

    def on_end(self, how: StreamEnded) -> None:
        if not self.over.done():
            self.over.set_result(how)


async def ask(channel: Channel, path: str, question: Message, seconds: float, more: Headers | None = None) -> bytes:
    """One question, one answer. Raises StreamEnded with what it failed of, DEADLINE_EXCEEDED and UNAVAILABLE too."""
    hears = _UnaryResponseHandler()
    call: Call | None = None
    try:
        async with asyncio.timeout(seconds):
            call = await channel.call(path, hears, more)
            call.send_last(question.SerializeToString())
            how = await hears.over
    except TimeoutError:
        raise StreamEnded(DEADLINE_EXCEEDED, f"no answer within {seconds:g} s") from None
    except OSError as error:
        raise StreamEnded(UNAVAILABLE, str(error) or type(error).__name__) from None
    finally:
        if call is not None:
            call.cancel()
    if how.status != OK:
        raise how
    if hears.answer is None:
        raise StreamEnded(INTERNAL, "the answer was no message")
    return hears.answer
