"""One simulated gateway: every part of a gateway but its listeners, composed as `gateway.composition` does."""

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

from gateway.admission import Admission
from gateway.authentication import Authentication
from gateway.back_pressure import EventBackPressure, SlowConsumers
from gateway.client_commands import ClientCommands
from gateway.delivery.dedup import Dedup, DedupSettings
from gateway.delivery.node_requests import NodeRequestHandler
from gateway.delivery.node_server import RouterStreamHandler
from gateway.delivery.push_writer import PushWriter
from gateway.delivery.router_endpoint import NoObserver, RouterEndpoint
from gateway.delivery.router_streams import RouterStreams, set_lagging
from gateway.door.values import Arrival, Refusal
from gateway.draining import Drain
from gateway.events.traces import ClientTraces
from gateway.identity.identity import Identity
from gateway.lifecycle import SessionLifecycle
from gateway.membership import FileMembership
from gateway.registration.lease_gate import LeaseGate
from gateway.registration.loop import RegistrationLoop
from gateway.session_commands import ClientSettings, SessionCommands
from gateway.sessions.acks import Acks
from gateway.sessions.budget import Budget
from gateway.sessions.heartbeat import Heartbeat, HeartbeatSettings
from gateway.sessions.index import Index
from gateway.sessions.rates import LimitSettings, MessageRates
from gateway.sessions.session import Session
from gateway.sessions.timer import make_deadlines
from gateway.token_expiry import TokenExpiry
from gateway.views.port import NO_VIEWS
from gateway.wire.envelope_json import JsonEnvelope
from homing.internal.v1 import node_pb2
from observability import names
from observability.counters import counters
from observability.tracing import OFF
from registry.model import Node
from registry.ports import RegistryError, RegistrySettings
from registry.store import StoreError
from runtime.process.background_tasks import BackgroundTasks
from runtime.process.pauses import Pauses
from tests.simulation.client import SimulatedClient
from tests.simulation.client_transport import SimulatedTransport
from tests.simulation.clocks import ProcessClocks
from tests.simulation.gateway_parts import NoEvents, RecordedBarrier, RecordedRegistrar, RecordedSessions
from tests.simulation.grpc_stream import SimulatedCall
from tests.simulation.history import Fault, History, Receipt, Sent
from tests.simulation.loop import ProcessLoop, ProcessState
from tests.simulation.network import Network
from tests.simulation.store_client import StoreClient, StoreServer

MAX_FILES = 3
BUDGET = Budget(unsent_bytes=600, stalled_s=2.0)
DRAIN_LIMIT = 3.0  # seconds
JSON = JsonEnvelope()


class GatewayProcess:
    """One process of one gateway, from its start to its end; a restart is another object."""

    def __init__(
        self,
        *,
        name: str,
        loop: ProcessLoop,
        network: Network,
        server: StoreServer,
        clocks: ProcessClocks,
        settings: RegistrySettings,
        history: History,
        sent: dict[str, Sent],
        errors: list[str],
        on_exit: "Callable[[GatewayProcess], None]",
    ) -> None:
        """`sent`: every push by its push_id. `on_exit` is called when the process ends by itself."""
        self.name = name
        self.loop = loop
        self.network = network
        self.store = StoreClient(server, loop)
        self.clocks = clocks
        self.clients: dict[int, SimulatedClient] = {}
        self.calls: list[SimulatedCall] = []
        self.draining = False
        self.ended = False
        self._settings = settings
        self._history = history
        self._sent = sent
        self._errors = errors
        self._on_exit = on_exit
        self._stop = asyncio.Event()
        loop.call_soon(self._begin)

    @property
    def epoch(self) -> int:
        incarnation = self.registration_loop.incarnation
        return incarnation.epoch if incarnation is not None else 0

    def _begin(self) -> None:
        self._build_registry()
        self._build_clients()
        self._build_delivery()
        self.network.listen(self.loop, self._on_stream)
        self.loop.create_task(self._serve())

    def _build_registry(self) -> None:
        self.counters = counters(names.GATEWAY)
        self.tasks = BackgroundTasks()
        self.index = Index[Session]()
        self.barrier = RecordedBarrier(on_lag=set_lagging)
        self.pauses = Pauses(self.clocks.boottime)
        self.streams = RouterStreams(self.counters, self.clocks.boottime)
        registrar = RecordedRegistrar(
            *(self.store, self._settings, self.name, self._node, self.streams.notify_unregistered),
            clock=self.clocks.boottime,
            wall=self.clocks.wall_ms,
        )
        registrar.history, registrar.loop, registrar.barrier = self._history, self.loop, self.barrier
        self.registration_loop = RegistrationLoop(
            registrar, self.index, self.barrier, self.counters, self.pauses, self.clocks.boottime
        )
        self.lease = LeaseGate(self.registration_loop, self.streams)
        self.sessions = RecordedSessions(self.registration_loop, self.index, self.barrier, self.counters)

    def _build_clients(self) -> None:
        sink: Any = NoEvents()
        self.acks = Acks()
        self.deadlines = make_deadlines(self.loop)
        dedup = Dedup(DedupSettings(), self.counters)
        self.slow = SlowConsumers(BUDGET, self.deadlines, self.counters)
        self.writer = PushWriter(
            *(self.name, self.index, self.acks, dedup, self.slow, self.deadlines, self.counters, OFF),
        )
        expiry = TokenExpiry(5.0, self.loop, self.clocks.wall)
        rates = MessageRates(LimitSettings(), 65_536, self.loop.time)
        heartbeat = Heartbeat(HeartbeatSettings(interval=1e6), rates, self.counters, self.loop)
        events = EventBackPressure(sink, self.tasks, rates)
        self.lifecycle = SessionLifecycle(self.sessions, self.index, sink, heartbeat, NO_VIEWS, self.counters)
        self.membership = FileMembership(self.sessions, sink, NO_VIEWS, MAX_FILES)
        traces = ClientTraces(OFF, self.name)
        sessions = SessionCommands(
            *(ClientSettings(self.name, 25_000, 65_536), self.lifecycle, self.membership, sink, events),
            *(self.slow, expiry, traces, self.tasks, self.counters),
        )
        commands = ClientCommands(sessions, _verify, self.acks, rates, self.counters)
        self.admission = Admission(self.sessions, self.lease, events, self.lifecycle, traces, MAX_FILES, self.counters)
        self.authentication = Authentication(
            self.admission, _verify, commands, self.lifecycle, BUDGET, self.deadlines, self.tasks
        )
        listener: Any = self
        self.drain = Drain(
            *(listener, self.admission, self.authentication.close_waiting, self.lifecycle),
            *(self.index, self.registration_loop, self.writer.finalize_all, DRAIN_LIMIT),
        )

    def _build_delivery(self) -> None:
        self.endpoint = RouterEndpoint(
            *(self.streams, self.lease, self.barrier, self.writer),
            NodeRequestHandler(self.index, self.membership, self.writer, self.slow),
            node_pb2.Stats,
            *(self.deadlines, self.tasks, self.counters, NoObserver()),
        )

    # Its life

    async def _serve(self) -> None:
        try:
            await self._start_and_drain()
        except* (StoreError, RegistryError):
            self._exit("exit")
        except* Exception:
            self._errors.append(traceback.format_exc())
            self._exit("crash")
        else:
            self.end()

    async def _start_and_drain(self) -> None:
        await self.registration_loop.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.registration_loop.run())
            pauses = group.create_task(self.pauses.run())
            await self.registration_loop.wait_linked()
            self.admission.open()
            await self._stop.wait()
            await self.drain.run()
            pauses.cancel()

    def _exit(self, how: str) -> None:
        """The process ends by itself; whoever supervises it starts another one."""
        if self.alive:
            self._history.faults.append(Fault(how, "begin", self.name, self.loop.time()))
            self.end()
            self._on_exit(self)

    def end(self) -> None:
        """The process has exited, or was killed."""
        if not self.ended:
            self.ended = True
            self.loop.kill()
            self.network.on_death(self.loop)
            for client in self.clients.values():
                client.on_closing()

    def stop(self) -> None:
        """SIGTERM."""
        self.draining = True
        self.loop.call_soon(self._stop.set)

    def stop_listening(self) -> None:
        """For the drain: admission refuses clients."""

    @property
    def alive(self) -> bool:
        return self.loop.state is not ProcessState.DEAD

    # What comes in

    def _on_stream(self, call: SimulatedCall) -> None:
        call.handler = RouterStreamHandler(self.endpoint, call)  # type: ignore[arg-type]
        self.calls.append(call)

    def on_client(self, transport: SimulatedTransport, user: str, files: tuple[str, ...], late_token: bool) -> None:
        identity = None if late_token else _verify(f"{user} f*", 0.0)
        self.tasks.start(self._admit(transport, Arrival(JSON, identity, files, "203.0.113.1:5555")))

    async def _admit(self, transport: SimulatedTransport, arrival: Arrival) -> None:
        client = transport._client
        entered = await self.authentication.enter(arrival)
        if isinstance(entered, Refusal):
            self.network.pipe(self.name, client.loop).send(client.on_refused)
            self.network.remove_connection(transport)
        else:
            self.clients[client.conn] = client
            transport.open(entered)

    # What is recorded

    def record_write(self, client: SimulatedClient, push_id: str, held: bool) -> Receipt:
        """A push's frame is given to a client's transport."""
        now = self.loop.time()
        session = next(iter(client.transport._handler.sessions)).sid  # type: ignore[union-attr]
        error = self._clock_error(push_id)
        receipt = Receipt(client.conn, session, self.name, self.epoch, push_id, None, now, held, error)
        self._history.receipts.append(receipt)
        return receipt

    def _clock_error(self, push_id: str) -> float:
        """How long the fastest message of this push's router took; the node cannot tell that from its age."""
        sent = self._sent.get(push_id)
        if sent is None or sent.ttl > 5.0:
            return 0.0
        return max(
            (call.fastest for call in self.calls if (one := call.handler._stream) and one.router == sent.router),  # type: ignore[attr-defined]
            default=0.0,
        )

    def _node(self, machine: int) -> Node:
        return Node(f"ws://{self.name}/ws", f"{self.name}:1", f"{self.name}:2", machine, "simulation")


def _verify(token: str, now: float) -> Identity:
    """A token is a user and the granted files."""
    user, *files = token.split()
    return Identity(user, tuple(files), "simulation", 4e9)
