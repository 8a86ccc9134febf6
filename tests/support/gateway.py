"""The client side of one gateway: real parts on an in-memory registry, without sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.admission import Admission
from gateway.authentication import Authentication
from gateway.back_pressure import EventBackPressure, SlowConsumers
from gateway.client_commands import ClientCommands
from gateway.door.values import Arrival
from gateway.events.traces import ClientTraces
from gateway.identity.identity import Identity
from gateway.identity.ports import Unauthorized
from gateway.lifecycle import SessionLifecycle
from gateway.membership import FileMembership
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.loop import RegistrationLoop
from gateway.registration.session_registration import SessionRegistration
from gateway.session_commands import ClientSettings, SessionCommands
from gateway.sessions.acks import Acks
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection
from gateway.sessions.heartbeat import Heartbeat, HeartbeatSettings
from gateway.sessions.index import Index
from gateway.sessions.rates import LimitSettings, MessageRates
from gateway.sessions.session import Session
from gateway.sessions.timer import make_deadlines
from gateway.token_expiry import TokenExpiry
from gateway.views.port import NO_VIEWS
from gateway.wire.bare import Bare
from gateway.wire.envelope_json import JsonEnvelope
from observability import names
from observability.counters import counters
from observability.tracing import OFF
from registry.lease_state import LeaseState
from registry.memory import MemoryStore
from registry.model import Node
from registry.ports import RegistrySettings
from registry.registrar import StoreRegistrar, boottime
from runtime.events.port import Record
from runtime.process.background_tasks import BackgroundTasks
from runtime.process.pauses import Pauses
from tests.support.wire import RecordingTransport, TurnedClock, identity, transport_of

ADDRESS = "203.0.113.1:5555"
JSON, BARE = JsonEnvelope(), Bare()
MAX_FILES = 3


class BoundedSink:
    """An `EventSink` that keeps what it takes."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.room = asyncio.Event()
        self.room.set()

    def publish(self, record: Record) -> bool:
        if self.room.is_set():
            self.records.append(record)
        return self.room.is_set()

    def publish_own(self, record: Record) -> None:
        self.records.append(record)

    def full(self) -> bool:
        return not self.room.is_set()

    async def wait_room(self) -> None:
        await self.room.wait()

    def kinds(self) -> list[str]:
        return [record.headers.get("X-Inner") or record.headers["X-Event"] for record in self.records]


class FixedLease:
    """A lease gate whose answer a test sets."""

    def __init__(self) -> None:
        self.state = LeaseState.HELD

    async def wait_lease_state(self) -> LeaseState:
        return self.state


class GatewayRig:
    """Everything between the listener and the registry."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.index = Index[Session]()
        self.counters = counters(names.GATEWAY)
        self.sink = BoundedSink()
        self.barrier = RouteAckBarrier(limit=60)
        self.clock = TurnedClock()
        self.deadlines = make_deadlines(self.clock)
        self.tasks = BackgroundTasks()
        registrar = StoreRegistrar(store, RegistrySettings(cluster="c"), "node-1", _node)
        self.loop = RegistrationLoop(registrar, self.index, self.barrier, self.counters, Pauses(boottime))
        self.registration = SessionRegistration(self.loop, self.index, self.barrier, self.counters)
        self.lease = FixedLease()
        self.rates = MessageRates(LimitSettings(), 65_536, self.clock.time)
        self.heartbeat = Heartbeat(HeartbeatSettings(interval=1e6), self.rates, self.counters, self.clock)
        self.lifecycle = SessionLifecycle(
            self.registration,
            self.index,
            self.sink,
            self.heartbeat,
            NO_VIEWS,
            self.counters,  # type: ignore[arg-type]
        )
        self.membership = FileMembership(self.registration, self.sink, NO_VIEWS, MAX_FILES)  # type: ignore[arg-type]
        self.events = EventBackPressure(self.sink, self.tasks, self.rates)  # type: ignore[arg-type]
        self.budget = Budget(unsent_bytes=10_000)
        self.slow = SlowConsumers(self.budget, self.deadlines, self.counters)
        self.wall = 1_000_000.0
        self.expiry = TokenExpiry(5.0, self.clock, lambda: self.wall + self.clock.now)
        traces = ClientTraces(OFF, "node-1")
        self.acks = Acks()
        self.sessions = SessionCommands(
            *(ClientSettings("node-1", 25_000, 65_536), self.lifecycle, self.membership, self.sink, self.events),  # type: ignore[arg-type]
            *(self.slow, self.expiry, traces, self.tasks, self.counters),  # type: ignore[arg-type]
        )
        self.commands = ClientCommands(self.sessions, self.verify, self.acks, self.rates, self.counters)  # type: ignore[arg-type]
        self.admission = Admission(
            *(self.registration, self.lease, self.events, self.lifecycle),  # type: ignore[arg-type]
            *(traces, MAX_FILES, self.counters),
        )
        self.authentication = Authentication(
            *(self.admission, self.verify, self.commands, self.lifecycle),
            *(self.budget, self.deadlines, self.tasks),
        )
        self.admission.open()

    def verify(self, token: str, _now: float) -> Identity:
        """A token is a user and the granted files; one that begins with "bad" is none."""
        if token.startswith("bad"):
            raise Unauthorized("not good")
        user, *files = token.split()
        return identity(user, *files)

    async def session(
        self, user: str = "ada", *grants: str, files: tuple[str, ...] = (), bare: bool = False
    ) -> Session:
        """A client that came with a good token and is connected."""
        arrival = Arrival(BARE if bare else JSON, identity(user, *grants), files, ADDRESS)
        connection = await self.authentication.enter(arrival)
        assert isinstance(connection, Connection)
        connection.on_open(RecordingTransport(connection))
        return connection.sessions[0]

    async def unauthenticated(self, *files: str) -> tuple[Connection, RecordingTransport]:
        """A client that came without a token."""
        connection = await self.authentication.enter(Arrival(JSON, None, files, ADDRESS))
        assert isinstance(connection, Connection)
        transport = RecordingTransport(connection)
        connection.on_open(transport)
        return connection, transport

    async def settle(self) -> None:
        """Let every short task run to its end."""
        while self.tasks.running():
            await asyncio.sleep(0)


@asynccontextmanager
async def gateway_rig() -> AsyncIterator[GatewayRig]:
    """A rig in its first incarnation."""
    rig = GatewayRig(MemoryStore())
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    try:
        yield rig
    finally:
        await rig.tasks.close()
        await rig.loop.end()
        await running


def received(transport: RecordingTransport) -> list[dict[str, object]]:
    """What the client has received, decoded; each frame here says its length in at most two bytes."""
    return [json.loads(frame[frame.index(b"{") :]) for frame in transport.frames]


def received_by(session: Session) -> list[dict[str, object]]:
    """What the client of a connected session has received, decoded."""
    return received(transport_of(session))


def send(session: Session, **message: object) -> None:
    """The client sends one message."""
    transport_of(session).handler.on_message(True, json.dumps(message).encode())


def _node(machine: int) -> Node:
    return Node("ws://a", "b", "c", machine, "test")
