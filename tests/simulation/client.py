"""A simulated client: connects to a gateway, joins and leaves files, acknowledges pushes, and is lost."""

import random
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation.client_transport import SimulatedTransport
from tests.simulation.history import Connected, History, Membership, Receipt
from tests.simulation.loop import ProcessLoop

if TYPE_CHECKING:
    from tests.simulation.gateway_process import GatewayProcess

CONNECT_LIMIT = 5.0  # seconds
ACK_SHARE = 0.7  # of the pushes that request one

_decode = msgspec.json.decode


class SimulatedClient:
    """One connection, from its request to its end. All clients share one loop, on which nothing fails."""

    def __init__(self, conn: int, user: str, loop: ProcessLoop, history: History, rng: random.Random) -> None:
        self.conn = conn
        self.user = user
        self.loop = loop
        self.session = 0  # 0: not connected yet
        self.closed = False
        self.connected: Connected | None = None
        self.gateway: GatewayProcess | None = None
        self.transport: SimulatedTransport | None = None
        self._history = history
        self._rng = rng
        self._files: tuple[str, ...] = ()
        self._token = ""
        self._t_request = 0.0
        self._notified: tuple[int, frozenset[str]] = 0, frozenset()  # epoch and routers, when the last reply was sent
        self._last_id = 0
        self._memberships: list[Membership] = []
        self._joins: dict[int, Membership] = {}  # by the id of the request
        self._leaves: dict[int, list[Membership]] = {}

    # What it does

    def connect(self, gateway: "GatewayProcess", files: tuple[str, ...], late_token: bool) -> None:
        """Begin to connect. `late_token`: authenticate with the first message."""
        self.gateway = gateway
        self._files = files
        self._t_request = self.loop.time()
        self.transport = SimulatedTransport(gateway, self)
        gateway.network.add_connection(self, self.transport)
        self._pipe = gateway.network.pipe(self.loop.name, gateway.loop)
        self._pipe.send(gateway.on_client, self.transport, self.user, files, late_token)
        if late_token:
            self._send(type="auth", token=f"{self.user} f*")
        self.loop.call_later(CONNECT_LIMIT, self._give_up)

    def disconnect(self) -> None:
        """Vanish without a close frame."""
        if not self.closed and self.transport is not None:
            self.on_closing()
            self.closed = True
            self._pipe.send(self.transport.on_lost)

    def join(self, file: str) -> None:
        membership = Membership(self.session, file, self.loop.time())
        self._history.memberships.append(membership)
        self._memberships.append(membership)
        self._joins[self._send(type="join", file=file, id=self._next_id())] = membership

    def leave(self, file: str) -> None:
        left = [one for one in self._memberships if one.file == file and one.t_leave is None]
        for one in left:
            one.t_leave = self.loop.time()
        self._leaves[self._send(type="leave", file=file, id=self._next_id())] = left

    # What happens to it

    def on_notified(self, gateway: "GatewayProcess") -> None:
        """In the gateway's process: a hello or an ok is written."""
        self._notified = gateway.epoch, gateway.barrier.reached

    def on_frame(self, frame: bytes, receipt: Receipt | None) -> None:
        if self.closed:
            return
        message = _decode(frame[frame.index(b"{") :])
        if receipt is not None:
            receipt.t = self.loop.time()
            if "ack" in message and self._rng.random() < ACK_SHARE:
                self._acknowledge(receipt.push_id, message["ack"])
        elif message["type"] == "hello":
            self._on_hello(message)
        elif message["type"] == "ok":
            self._on_ok(message["id"])

    def on_refused(self) -> None:
        self.closed = True

    def on_closing(self) -> None:
        """One side has begun to close, or the gateway's process has died."""
        if self.connected is not None and self.connected.t_ended is None:
            self.connected.t_ended = self.loop.time()

    def on_close(self, _code: int) -> None:
        """The gateway's close frame: answer it."""
        self.disconnect()
        self.closed = True

    def on_lost(self) -> None:
        self.on_closing()
        self.closed = True

    def _give_up(self) -> None:
        if self.connected is None:
            self.disconnect()

    def _on_hello(self, hello: dict[str, Any]) -> None:
        now = self.loop.time()
        epoch, routers = self._notified_by_hello = self._notified
        self.session = int(hello["session"])
        files = tuple(hello["files"])
        self.connected = Connected(
            *(self.conn, self.session, self.user, hello["node"], epoch, files),
            *(self._t_request, now, hello.get("registered", True), routers),
        )
        self._history.connected.append(self.connected)
        for file in self._files:
            joined = now if file in files else None  # a backend may have it left meanwhile
            self._memberships.append(Membership(self.session, file, self._t_request, joined, routers))
        self._history.memberships += self._memberships
        if self.transport is not None and not self.transport.is_open:
            self.connected.t_ended = now  # closed meanwhile by the gateway

    def _on_ok(self, id: int) -> None:
        now = self.loop.time()
        if (joined := self._joins.pop(id, None)) is not None:
            joined.t_joined, joined.routers = now, self._notified[1]
        for left in self._leaves.pop(id, ()):
            left.t_left = now

    def _acknowledge(self, push_id: str, ack: int) -> None:
        key = push_id, self.session
        for _ in range(1 + (self._rng.random() < 0.1)):  # some clients repeat their ack
            self._history.acks[key] = self._history.acks.get(key, 0) + 1
            self.loop.call_later(self._rng.expovariate(20), self._send_ack, ack)

    def _send_ack(self, ack: int) -> None:
        if not self.closed:
            self._send(type="ack", ack=ack, data={})

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _send(self, **message: Any) -> int:
        assert self.transport is not None
        self._pipe.send(self.transport.on_message, msgspec.json.encode(message))
        return int(message.get("id", 0))
