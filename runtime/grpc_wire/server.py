"""Shell: a gRPC server. Every call is a stream; one that takes one message and gives one is the caller's own matter."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from runtime.grpc_wire.call import Call, Http2Protocol, StreamHandler
from runtime.grpc_wire.events import Event, HeadersReceived
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.status import DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, StreamEnded, judge_request

Serve = Callable[[Call], StreamHandler]
"""Makes who hears a new stream. It may send at once."""

DEADLINE = StreamEnded(DEADLINE_EXCEEDED, "the deadline has passed")


class ServerProtocol(Http2Protocol):
    """A connection that somebody has opened to us."""

    def __init__(self, server: "Server") -> None:
        super().__init__(False, server.limits)
        self._server = server
        self._newest = 0  # stream

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._server.came(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.went(self)
        super().connection_lost(exc)

    def on_call_end(self, call: Call) -> None:
        super().on_call_end(call)
        self._server.one_less()

    def on_event(self, event: Event) -> None:
        if not isinstance(event, HeadersReceived):
            super().on_event(event)
        elif event.stream > self._newest:
            self._take(event)
        elif (call := self.calls.get(event.stream)) is None:
            return
        elif event.ended:
            call.on_half_close()
        else:
            call.end(INTERNAL, "headers within the stream")

    def _take(self, event: HeadersReceived) -> None:
        self._newest = event.stream
        call = self.calls[event.stream] = Call(self, event.stream, client=False, request=event.headers)
        try:
            seconds = judge_request(event.headers, self._server.paths)
        except StreamEnded as how:
            call.handler = _RefusedStreamHandler()
            call.end(how.status, how.args[0])
            return
        path = dict(event.headers)[b":path"]
        call.handler = self._server.paths[path](call)
        if seconds is not None:
            call.ends_after(seconds, DEADLINE)
        if event.ended:
            call.on_half_close()


class Server:
    """Listens, and serves each path by its own `Serve`."""

    def __init__(self, paths: Mapping[str, Serve], limits: Http2Limits | None = None) -> None:
        self.paths = {path.encode(): serve for path, serve in paths.items()}
        self.limits = limits or Http2Limits()
        self._wires: set[ServerProtocol] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._idle = asyncio.Event()  # no call is open; looked at only while finishing
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Open the port (0: a free one); the answer is its number. Raises OSError when it is in use."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ServerProtocol(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def came(self, wire: ServerProtocol) -> None:
        """A connection is open."""
        self._wires.add(wire)
        self._nobody.clear()

    def went(self, wire: ServerProtocol) -> None:
        """It is closed."""
        self._wires.discard(wire)
        if not self._wires:
            self._nobody.set()

    async def finish(self, grace: float) -> None:
        """Take no more connections and streams, and wait at most `grace` seconds for the calls that are open."""
        if self._server is None:
            return
        self._server.close()
        for wire in list(self._wires):
            wire.connection.leave()
            wire.flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while any(wire.calls for wire in self._wires):
                    self._idle.clear()
                    await self._idle.wait()

    def one_less(self) -> None:
        """A call is over."""
        self._idle.set()

    async def close(self, grace: float = 0.2) -> None:
        """Take no more, end every stream as UNAVAILABLE, and hang up after `grace` seconds on who does not read."""
        if self._server is None:
            return
        self._server.close()
        for wire in list(self._wires):
            wire.connection.leave()
            for call in list(wire.calls.values()):
                call.end(UNAVAILABLE, "the server stops")
            wire.close("the server stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._nobody.wait()
        for wire in list(self._wires):
            wire.abort()


class _RefusedStreamHandler:
    """Hears a stream that was refused."""

    def on_message(self, message: bytes) -> None: ...
    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...
