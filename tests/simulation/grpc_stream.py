"""A gRPC stream over the simulated network: what `runtime.grpc_wire` gives the hop and the node port, without bytes."""

import asyncio
from collections import deque
from collections.abc import Callable

from runtime.grpc_wire.call import StreamHandler
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.status import CANCELLED, INTERNAL, OK, UNAVAILABLE, StreamEnded
from tests.simulation.loop import ProcessLoop
from tests.simulation.network import Network, Pipe

OnStream = Callable[["SimulatedCall"], None]


class SimulatedCall:
    """One end of one stream (a `runtime.grpc_wire.call.Call` in what the hop uses)."""

    def __init__(self, network: Network, loop: ProcessLoop) -> None:
        self.loop = loop
        self.handler: StreamHandler
        self.peer: SimulatedCall
        self.fastest = float("inf")  # seconds from sending to handling, of the fastest message that arrived here
        self._network = network
        self._pipe: Pipe
        self._ended = False
        self._paused = False
        self._unread: deque[tuple[float, bytes]] = deque()

    def connect(self, peer: "SimulatedCall") -> None:
        self.peer = peer
        self._pipe = self._network.pipe(self.loop.name, peer.loop)

    # For the handler

    @property
    def writable(self) -> bool:
        return not self._ended

    def send(self, message: bytes) -> None:
        if not self._ended:
            self._pipe.send(self.peer.on_data, self.loop.time(), message)

    def end(self, status: int = OK, message: str = "") -> None:
        self._end_both(StreamEnded(status, message))

    def cancel(self) -> None:
        self._end_both(StreamEnded(CANCELLED, "cancelled"))

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        while self._unread and not self._paused:
            self._handle(*self._unread.popleft())

    # From the network

    def on_data(self, sent: float, message: bytes) -> None:
        if self._paused:
            self._unread.append((sent, message))
        else:
            self._handle(sent, message)

    def on_lost(self) -> None:
        self._on_end(StreamEnded(UNAVAILABLE, "the connection is lost"))

    def on_peer_end(self, how: StreamEnded) -> None:
        self._network.remove_connection(self)
        self._on_end(how)

    def _handle(self, sent: float, message: bytes) -> None:
        if self._ended:
            return
        self.fastest = min(self.fastest, self.loop.time() - sent)
        try:
            self.handler.on_message(message)
        except StreamEnded as how:
            self._end_both(how)
        except Exception:
            self._end_both(StreamEnded(INTERNAL, "a message could not be handled"))
            raise

    def _end_both(self, how: StreamEnded) -> None:
        if not self._ended:
            self._pipe.send(self.peer.on_peer_end, how)
            self._on_end(how)

    def _on_end(self, how: StreamEnded) -> None:
        if not self._ended:
            self._ended = True
            self.handler.on_end(how)


class Dialler:
    """`runtime.grpc_wire.client.dial` over the simulated network. The host of an address is a process's name."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def dial(
        self, address: str, _path: str, handler: StreamHandler, metadata: HeaderFields | None = None
    ) -> SimulatedCall:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        name = address.rpartition(":")[0]
        call = SimulatedCall(self._network, loop)
        call.handler = handler
        answered: asyncio.Future[bool] = loop.create_future()
        # A connection is accepted by the host's kernel, also while the process is paused.
        there = self._network.pipe(loop.name, self._network.kernel, target=name)
        there.send(self._on_connect, call, name, answered)
        if not await answered:
            raise OSError(f"{name} refuses connections")
        return call

    def _on_connect(self, call: SimulatedCall, name: str, answered: "asyncio.Future[bool]") -> None:
        listener = self._network.listener(name)
        back = self._network.pipe(name, call.loop)
        if listener is not None:
            loop, on_stream = listener
            accepted = SimulatedCall(self._network, loop)
            call.connect(accepted)
            accepted.connect(call)
            self._network.add_connection(call, accepted)
            loop.call_soon(on_stream, accepted)
        back.send(_resolve, answered, listener is not None)


def _resolve(answered: "asyncio.Future[bool]", result: bool) -> None:
    if not answered.done():
        answered.set_result(result)
