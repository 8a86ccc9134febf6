"""A simulated cluster: a store, gateways, routers, clients and callers, on one scheduler and one network."""

import contextlib
import random
from typing import Any

from registry.keys import FileKey, Keys, SessionKey, parse_key
from registry.memory import MemoryStore
from registry.ports import RegistrySettings
from registry.store import Change
from tests.simulation import clocks, ordering
from tests.simulation.client import SimulatedClient
from tests.simulation.gateway_process import GatewayProcess
from tests.simulation.grpc_stream import Dialler
from tests.simulation.history import History, IncarnationEnd, Sent, State
from tests.simulation.loop import ProcessLoop, Scheduler
from tests.simulation.network import Network
from tests.simulation.router_process import RouterProcess
from tests.simulation.store_client import StoreServer

GATEWAYS = ("gw-1", "gw-2", "gw-3")
ROUTERS = ("r1", "r2")
STORE = "store"
SETTINGS = RegistrySettings(cluster="c", ttl=3, sweep_after=4.0)
RESTART = 1.0  # seconds until a gateway that has exited by itself is started again
SMALL: dict[str, Any] = {
    "registry.membership.MACHINE_IDS": 8,  # so that a machine id soon has its next holder
    "router.delivery.lanes.LANE_CAPACITY": 12,  # pushes
    "gateway.delivery.push_job.SLICE": 3,  # sockets
    "gateway.delivery.push_writer.SLICE_BUDGET": -1.0,  # after each slice others get a turn
}
"""Bounds so small that a few clients reach them."""
START = 3.0  # seconds for the first processes to come up


class RecordedStore(MemoryStore):
    """Records when a node's key goes."""

    def __init__(self, loop: ProcessLoop, history: History) -> None:
        super().__init__(loop.time)
        self._record = history
        self._node_prefix = Keys(SETTINGS.cluster).node("")
        self._epochs: dict[str, int] = {}

    def _publish(self, changes: list[Change], revision: int) -> None:
        for entry, deleted in changes:
            if entry.key.startswith(self._node_prefix):
                name = entry.key[len(self._node_prefix) :]
                if deleted:
                    self._record.ends.append(IncarnationEnd(name, self._epochs[name], STORE, self._clock()))
                else:
                    self._epochs[name] = entry.create_revision
        super()._publish(changes, revision)


class Cluster:
    """Everything in one run. Use as a context: its clocks and its randomness are installed meanwhile."""

    def __init__(self, seed: int, replaced: dict[str, Any] | None = None) -> None:
        """`replaced`: objects that stand for others meanwhile, by path: faults that are planted in the code."""
        self.rng = random.Random(seed)
        self.scheduler = Scheduler()
        self.history = History()
        self.network = Network(self.scheduler, seed)
        self.clocks: dict[str, clocks.ProcessClocks] = {}
        self.gateways: dict[str, GatewayProcess] = {}
        self.routers: dict[str, RouterProcess] = {}
        self.clients: dict[int, SimulatedClient] = {}
        self.sent: dict[str, Sent] = {}
        dial = {"router.hop.stream.dial": Dialler(self.network).dial}
        self._replaced = ordering.REPLACED | SMALL | dial | (replaced or {})
        self._stack = contextlib.ExitStack()
        self._starts = 0
        self._conns = 0
        self._code_rng = random.Random(seed + 1)
        for name in (STORE, *GATEWAYS, *ROUTERS, "clients", "kernel"):
            self.clocks[name] = clocks.ProcessClocks(self.scheduler, self.rng)
        self.client_loop = ProcessLoop(self.scheduler, "clients")  # type: ignore[abstract]

    def __enter__(self) -> "Cluster":
        self._stack.enter_context(clocks.installed(self.scheduler, self.clocks, self._code_rng, self._replaced))
        store_loop = ProcessLoop(self.scheduler, STORE)  # type: ignore[abstract]
        self.store = RecordedStore(store_loop, self.history)
        self.server = StoreServer(self.network, self.store, store_loop)
        for name in GATEWAYS:
            self.start_gateway(name)
        for name in ROUTERS:
            self.start_router(name)
        self.run(START)
        return self

    def __exit__(self, *_error: object) -> None:
        self.scheduler.close()
        self._stack.close()

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.scheduler.run_until(self.scheduler.now + seconds)

    @property
    def now(self) -> float:
        return self.scheduler.now

    # Processes

    def start_gateway(self, name: str) -> None:
        self.gateways[name] = GatewayProcess(
            name=name,
            loop=ProcessLoop(self.scheduler, name),  # type: ignore[abstract]
            network=self.network,
            server=self.server,
            clocks=self.clocks[name],
            settings=SETTINGS,
            history=self.history,
            sent=self.sent,
            errors=self.scheduler.errors,
            on_exit=self._restart_later,
        )

    def _restart_later(self, process: GatewayProcess) -> None:
        def restart() -> None:
            if self.gateways[process.name] is process:
                self.start_gateway(process.name)

        self.network.kernel.call_later(RESTART, restart)

    def start_router(self, host: str) -> None:
        self._starts += 1
        self.routers[host] = RouterProcess(
            name=f"{host}.{self._starts}",
            loop=ProcessLoop(self.scheduler, host),  # type: ignore[abstract]
            network=self.network,
            server=self.server,
            clocks=self.clocks[host],
            settings=SETTINGS,
            history=self.history,
            sent=self.sent,
        )

    def new_client(self, user: str) -> SimulatedClient:
        self._conns += 1
        client = SimulatedClient(self._conns, user, self.client_loop, self.history, self._code_rng)
        self.clients[self._conns] = client
        return client

    def open_clients(self) -> list[SimulatedClient]:
        """The clients that are connected; forgets those that are gone."""
        self.clients = {conn: client for conn, client in self.clients.items() if not client.closed}
        return [client for client in self.clients.values() if client.session]

    # What is left after the faults

    def record_states(self) -> None:
        """What every node, every table and the store hold now."""
        states = self.history.states
        states.clear()
        for name, gateway in self.gateways.items():
            if gateway.alive:
                epoch, index = gateway.epoch, gateway.index
                sessions = frozenset((sid, name, epoch) for sid in index.sessions)
                files = frozenset((file, name, epoch) for file in index.files())
                states.append(State(f"node {name}", sessions, files))
        clients = frozenset(  # a node may have kept its sessions under another epoch
            (client.session, one.node, self.gateways[one.node].epoch)
            for client in self.open_clients()
            if (one := client.connected)
        )
        node_files = frozenset().union(*(state.files for state in states))
        states.append(State("clients", clients, node_files))
        for router in self.routers.values():
            states.append(_table_state(router))
        states.append(self._store_state())

    def _store_state(self) -> State:
        keys = Keys(SETTINGS.cluster)
        sessions, files = set(), set()
        for key in self.store._entries:
            match parse_key(key, len(keys.prefix)):
                case SessionKey() as parsed:
                    sessions.add((parsed.sid, *parsed.incarnation))
                case FileKey() as parsed:
                    files.add((parsed.file, *parsed.incarnation))
        return State("store", frozenset(sessions), frozenset(files))


def _table_state(router: RouterProcess) -> State:
    table, maps = router.feed.table, router.feed.table._maps
    registered = [one for incarnation in maps.incarnations() for one in maps.registered_by(incarnation)]
    sids = {one[1] for one in registered if not isinstance(one, str)}
    routes = [route for sid in sorted(sids) if (route := table.session(sid)) is not None]
    sessions = frozenset((route.sid, *route.incarnation) for route in routes)
    names = {one for one in registered if isinstance(one, str)}
    files = frozenset((file, *owner) for file in names for owner in table.file(file))
    return State(f"router {router.name}", sessions, files)
