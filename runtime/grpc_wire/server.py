"""Shell: a gRPC server of streams. The handler of a unary method receives one message and sends one."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.events import HeadersReceived, Http2Event
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.http2_protocol import Http2Protocol
from runtime.grpc_wire.status import DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, StreamEnded, check_request

MakeStreamHandler = Callable[[Call], StreamHandler]
"""Makes the handler of a new stream. It may send at once."""

DEADLINE_PASSED = StreamEnded(DEADLINE_EXCEEDED, "the deadline has passed")


class ServerProtocol(Http2Protocol):
    """A server's connection."""

    def __init__(self, server: "GrpcServer") -> None:
        super().__init__(False, server.limits)
        self._server = server
        self._last_stream = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._server.on_connected(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.on_disconnected(self)
        super().connection_lost(exc)

    def on_call_end(self, call: Call) -> None:
        super().on_call_end(call)
        self._server.on_call_end()

    def on_event(self, event: Http2Event) -> None:
        if not isinstance(event, HeadersReceived):
            super().on_event(event)
        elif event.stream > self._last_stream:
            self._open_call(event)
        elif (call := self.calls.get(event.stream)) is None:
            return
        elif event.end_stream:
            call.on_half_close()
        else:
            call.end(INTERNAL, "headers within the stream")

    def _open_call(self, event: HeadersReceived) -> None:
        self._last_stream = event.stream
        call = self.calls[event.stream] = Call(self, event.stream, client=False, request_headers=event.headers)
        try:
            timeout = check_request(event.headers, self._server.methods)
        except StreamEnded as how:
            call.handler = _RefusedStreamHandler()
            call.end(how.status, how.message)
            return
        path = dict(event.headers)[b":path"]
        call.handler = self._server.methods[path](call)
        if timeout is not None:
            call.set_deadline(timeout, DEADLINE_PASSED)
        if event.end_stream:
            call.on_half_close()


class GrpcServer:
    """A listening server."""

    def __init__(self, methods: Mapping[str, MakeStreamHandler], limits: Http2Limits | None = None) -> None:
        """`methods`: what makes the handler of a stream, by path: /package.Service/Method."""
        self.methods = {path.encode(): make_handler for path, make_handler in methods.items()}
        self.limits = limits or Http2Limits()
        self._connections: set[ServerProtocol] = set()
        self._no_connections = asyncio.Event()
        self._no_connections.set()
        self._call_ended = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Open the port (0: a free one). The result is its number. OSError when it is in use."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ServerProtocol(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def on_connected(self, connection: ServerProtocol) -> None:
        """A connection is open."""
        self._connections.add(connection)
        self._no_connections.clear()

    def on_disconnected(self, connection: ServerProtocol) -> None:
        """A connection is closed."""
        self._connections.discard(connection)
        if not self._connections:
            self._no_connections.set()

    def on_call_end(self) -> None:
        """A call has ended."""
        self._call_ended.set()

    async def drain(self, grace: float) -> None:
        """Accept no connections and no streams, and wait for the open calls, at most `grace` seconds."""
        if self._server is None:
            return
        self._stop_accepting(self._server)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while any(connection.calls for connection in self._connections):
                    self._call_ended.clear()
                    await self._call_ended.wait()

    async def close(self, grace: float = 0.2) -> None:
        """End every stream as UNAVAILABLE, and abort the connections of peers that do not read within `grace` s."""
        if self._server is None:
            return
        self._stop_accepting(self._server)
        for connection in list(self._connections):
            for call in list(connection.calls.values()):
                call.end(UNAVAILABLE, "the server stops")
            connection.close("the server stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._no_connections.wait()
        for connection in list(self._connections):
            connection.abort()

    def _stop_accepting(self, server: asyncio.Server) -> None:
        server.close()
        for connection in list(self._connections):
            connection.connection.go_away()
            connection.flush()


class _RefusedStreamHandler:
    """The handler of a stream that was refused at its headers."""

    def on_message(self, message: bytes) -> None: ...
    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...
