"""Shell: a gRPC server of streams. The handler of a unary method receives one message and sends one."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from typing import Final

from runtime.grpc_wire import frames
from runtime.grpc_wire.call import Call, NoHandler, StreamHandler
from runtime.grpc_wire.events import DataReceived, HeadersReceived, HeadersRefused, Http2Event, StreamReset
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.http2_protocol import Http2Protocol
from runtime.grpc_wire.status import (
    DEADLINE_EXCEEDED,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    StreamEnded,
    check_grpc,
    check_request,
)
from runtime.process.listening import create_listener

MakeStreamHandler = Callable[[Call], StreamHandler]
"""Makes the handler of a new stream. It may send at once."""

DEADLINE_PASSED = StreamEnded(DEADLINE_EXCEEDED, "the deadline has passed")
HANDSHAKE_TIMEOUT: Final = 10  # seconds from a connection until the client's preface and SETTINGS
IDLE_TIMEOUT: Final = 300  # seconds without a call and without a byte; gRPC clients connect again when they need to
WRITE_TIMEOUT: Final = 60  # seconds in which a client that is owed something has taken nothing
NOT_GRPC: Final = (
    b"This port speaks gRPC: POST with content-type application/grpc. The HTTP API has a port of its own.\n"
)


class ServerProtocol(Http2Protocol):
    """A server's connection."""

    def __init__(self, server: "GrpcServer") -> None:
        super().__init__(False, server.limits)
        self._server = server
        self._last_stream = 0
        self._not_grpc: dict[int, HeaderFields] = {}  # the answers to requests that have not ended
        self._quiet_seconds = 0  # without a call and without a byte; before the handshake: all
        self._stuck_seconds = 0  # in which the kernel's buffer was full

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._server.on_connected(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.on_disconnected(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.connection.settings_received:
            self._quiet_seconds = 0
        super().data_received(data)

    def resume_writing(self) -> None:
        self._stuck_seconds = 0
        super().resume_writing()

    def on_second(self) -> None:
        """A second has passed: refill what time refills, and end what takes too long."""
        self.connection.on_second()
        self._quiet_seconds = 0 if self.calls else self._quiet_seconds + 1
        self._stuck_seconds = self._stuck_seconds + 1 if self.write_paused else 0
        if self._stuck_seconds >= WRITE_TIMEOUT or (
            not self.connection.settings_received and self._quiet_seconds >= HANDSHAKE_TIMEOUT
        ):
            self.abort()
        elif self._quiet_seconds >= IDLE_TIMEOUT:
            self.connection.go_away(frames.NO_ERROR, "idle")
            self.close("the connection was idle")

    def on_call_end(self, call: Call) -> None:
        super().on_call_end(call)
        self._server.on_call_end()

    def on_event(self, event: Http2Event) -> None:
        match event:
            case HeadersReceived(stream, headers, end_stream) if stream > self._last_stream:
                self._last_stream = stream
                if (status := check_grpc(headers)) is None:
                    self._open_call(stream, headers, end_stream)
                else:
                    self._not_grpc[stream] = _not_grpc(status, headers)
                    self._answer_not_grpc(stream, end_stream)
            case HeadersReceived(stream):  # trailers, which end the client's side
                if (call := self.calls.get(stream)) is not None:
                    call.on_half_close()
                self._answer_not_grpc(stream, True)
            case HeadersRefused(stream):
                self._last_stream = stream
                text = f"headers above {self.connection.limits.max_header_list} bytes"
                self._refuse(Call(self, stream, client=False), StreamEnded(RESOURCE_EXHAUSTED, text))
            case _:
                if isinstance(event, StreamReset):
                    self._not_grpc.pop(event.stream, None)
                super().on_event(event)

    def on_other_data(self, event: DataReceived) -> None:
        super().on_other_data(event)
        self._answer_not_grpc(event.stream, event.end_stream)

    def _open_call(self, stream: int, headers: HeaderFields, end_stream: bool) -> None:
        call = Call(self, stream, client=False, request_headers=headers)
        try:
            timeout = check_request(headers, self._server.methods)
        except StreamEnded as how:
            self._refuse(call, how)
            return
        self.calls[stream] = call
        call.handler = self._server.methods[dict(headers)[b":path"]](call)
        if timeout is not None:
            call.set_deadline(timeout, DEADLINE_PASSED)
        if end_stream:
            call.on_half_close()

    def _refuse(self, call: Call, how: StreamEnded) -> None:
        call.handler = NoHandler()
        call.end(how.status, how.message)

    def _answer_not_grpc(self, stream: int, ended: bool) -> None:
        """Answer a request that is not gRPC once it has ended, as HTTP servers do."""
        if ended and (fields := self._not_grpc.pop(stream, None)) is not None:
            self.connection.send_headers(stream, fields)
            if fields[-1][1] != b"0":
                self.connection.send_data(stream, NOT_GRPC)
            self.connection.end_stream(stream)


def _not_grpc(status: int, request: HeaderFields) -> HeaderFields:
    """The headers of the answer to a request that is not gRPC; the last is the length of its body."""
    size = 0 if (b":method", b"HEAD") in request else len(NOT_GRPC)
    allow = [(b"allow", b"POST")] if status == 405 else []
    return [(b":status", b"%d" % status), (b"content-type", b"text/plain"), *allow, (b"content-length", b"%d" % size)]


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
        self._next_second: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Open the port (0: a free one). The result is its number. OSError when it is in use."""
        loop = asyncio.get_running_loop()
        self._server = await create_listener(lambda: ServerProtocol(self), host, port, tls, HANDSHAKE_TIMEOUT)
        self._next_second = loop.call_later(1.0, self._on_second, loop.time() + 1.0)
        return int(self._server.sockets[0].getsockname()[1])

    def _on_second(self, now: float) -> None:
        for connection in list(self._connections):
            connection.on_second()
        self._next_second = asyncio.get_running_loop().call_at(now + 1.0, self._on_second, now + 1.0)

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
        if self._next_second is not None:
            self._next_second.cancel()
        for connection in list(self._connections):
            connection.connection.go_away()
            connection.flush()
