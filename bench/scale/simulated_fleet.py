"""A fleet in virtual time: the registry's own classes over a modelled etcd, without sockets and clients.

Each gateway has a real `StoreRegistrar`, and with it the batches, guards, keepalives and floors of its incarnation, and
a real `RouteAckBarrier`; each router a real `StoreRouteFeed` with its table, and a real `Sweeper`. A client is a
connect and a disconnect. So nothing that is counted here is a formula, except the pings of streams, which are constant.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from bench.scale.fleet_load import Costs, EtcdCosts, FleetSize, SteadyLoad, StormLoad
from bench.scale.modelled_etcd import ModelledEtcd, ModelledStore
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.session_registration import wait_settled
from registry.feed import StoreRouteFeed
from registry.memory import MemoryStore
from registry.model import Incarnation, Node, SessionInfo
from registry.nodes import TableChange
from registry.ports import RegistrySettings
from registry.registrar import StoreRegistrar
from registry.registration import StoreRegistration
from registry.sweeper import Sweeper
from router.hop.stream import HopSettings
from tests.simulation.loop import ProcessLoop, Scheduler

ONE_WAY = 0.0002  # seconds from a router to a gateway
HANDSHAKE = 0.001, 0.0015  # seconds from a client's connect to its registration: at least, and on average beyond that
CLOSING = 0.0005, 0.0005  # the same from a client's close to the end of its connection
COMMIT_LIMIT = 3.0  # seconds a client waits for the registry
START = 1_900_000_000_000  # ms since the Unix epoch
TIMER_LATE = 0.0002, 0.0012  # seconds by which a process's timer is late: libuv's count whole milliseconds
SETTLE = 2.0  # seconds after everything has been registered, before anything is counted


class LateTimers(ProcessLoop):
    """A loop whose `call_later` is as late as uvloop's, which is a tenth of the shortest interval of batches."""

    def __init__(self, scheduler: Scheduler, rng: random.Random) -> None:
        super().__init__(scheduler, "fleet")
        self._rng = rng

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - asyncio's signature
        context: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """See asyncio."""
        return self.call_at(self.time() + delay + self._rng.uniform(*TIMER_LATE), callback, *args, context=context)


class Client:
    """A connected session."""

    __slots__ = ("file", "gateway", "number", "sid", "user")

    def __init__(self, number: int, gateway: "SimulatedGateway", file: str) -> None:
        self.number = number
        self.user = f"user-{number}"
        self.gateway = gateway
        self.sid = gateway.registration.id_generator.next_id(gateway.wall_ms())
        self.file = file


class SimulatedGateway:
    """What of a gateway has to do with the registry."""

    def __init__(self, number: int, etcd: ModelledEtcd, clock: Callable[[], float], rng: random.Random) -> None:
        self.barrier = RouteAckBarrier()
        self._rng = rng
        self.waits: list[float] = []  # seconds from each connect to "connected"
        self.unregistered = 0  # admitted without a commit
        self._clock = clock
        self._members: dict[str, int] = {}
        node = f"gateway-{number:03}"
        self._registrar = StoreRegistrar(
            ModelledStore(etcd),
            RegistrySettings(),
            node,
            lambda machine: Node("ws://127.0.0.1:40000/ws", "127.0.0.1:40001", "127.0.0.1:40002", machine, "0.1.0"),
            clock=clock,
            wall=self.wall_ms,
        )
        self.registration: StoreRegistration

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return START + int(self._clock() * 1000)

    async def start(self) -> None:
        """Begin the incarnation."""
        self.registration = await self._registrar.begin()

    async def connect(self, client: Client) -> None:
        """Until the client is "connected"."""
        began = self._clock()
        await asyncio.sleep(self._jittered(*HANDSHAKE))
        info = SessionInfo("/", "homing-dev", self.wall_ms())
        commits = [self.registration.register_session(client.user, client.sid, info)]
        if client.file:
            self._members[client.file] = self._members.get(client.file, 0) + 1
            commits.append(self.registration.register_file(client.file))
        await wait_settled(commits, COMMIT_LIMIT)
        if all(commit.done() and not commit.cancelled() for commit in commits):
            await self.barrier.wait_reachable(max(commit.result() for commit in commits))
        else:
            self.unregistered += 1
        self.waits.append(self._clock() - began)

    def close(self, client: Client) -> None:
        """The client closes its connection, which ends a moment later."""
        asyncio.get_running_loop().call_later(self._jittered(*CLOSING), self.disconnect, client)

    def _jittered(self, least: float, mean: float) -> float:
        """Batches depend on how evenly registrations come: exactly even ones stay large at a rate that is just enough
        for large ones, and those of a real gateway do not."""
        return least + self._rng.expovariate(1 / mean)

    def disconnect(self, client: Client) -> None:
        """The client's connection has ended."""
        if client.file:
            self._members[client.file] -= 1
            if not self._members[client.file]:
                del self._members[client.file]
                self.registration.unregister_file(client.file)
        self.registration.unregister_session(client.user, client.sid)


class SimulatedRouter:
    """What of a router has to do with the registry."""

    def __init__(self, number: int, etcd: ModelledEtcd, clock: Callable[[], float]) -> None:
        self.feed = StoreRouteFeed(ModelledStore(etcd), RegistrySettings(), clock)
        self.sweeper = Sweeper(ModelledStore(etcd), RegistrySettings(), f"router-{number}", self.feed.table, clock)


class SimulatedFleet:
    """All of them, in one loop."""

    def __init__(self, size: FleetSize, etcd: ModelledEtcd, clock: Callable[[], float], rng: random.Random) -> None:
        self._size = size
        self._etcd = etcd
        self._clock = clock
        self._rng = rng
        self._idle: list[Client] = []  # who stay until a storm
        self._connected: list[Client] = []  # who come and go
        self._waiting: deque[int] = deque()  # users that connect next
        self._next_user = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.gateways = [SimulatedGateway(number, etcd, clock, self._rng) for number in range(size.nodes)]
        self.routers = [SimulatedRouter(number, etcd, clock) for number in range(size.routers)]
        self._by_node: dict[str, SimulatedGateway] = {}

    async def start(self) -> None:
        """Start everything, and connect the first clients."""
        for gateway in self.gateways:
            await gateway.start()
            self._by_node[gateway.registration.incarnation.node] = gateway
            self._spawn(gateway.registration.run())
        for router in self.routers:
            self._spawn(router.feed.run())
            await router.feed.wait_synced()
            self._open_streams(router)
            self._spawn(router.sweeper.run())
        for number in range(self._size.idle + self._size.sessions):
            self._connect(self._next_client(), self._idle if number < self._size.idle else self._connected)
            if number % 100 == 0:
                await asyncio.sleep(0.02)
        await asyncio.sleep(SETTLE)

    def _open_streams(self, router: SimulatedRouter) -> None:
        for gateway in self.gateways:
            gateway.barrier.opened(router, router.feed.table.batch(gateway.registration.incarnation))
        router.feed.subscribe(lambda change: self._acknowledge(router, change))

    def _acknowledge(self, router: SimulatedRouter, change: TableChange) -> None:
        for incarnation, batch in change.batches:
            self._etcd.counts["acknowledgements"] += 1
            asyncio.get_running_loop().call_later(ONE_WAY, self._acknowledged, router, incarnation, batch)

    def _acknowledged(self, router: SimulatedRouter, incarnation: Incarnation, batch: int) -> None:
        self._by_node[incarnation.node].barrier.acknowledged(router, batch)

    # Load

    async def steady(self, load: SteadyLoad) -> Costs:
        """Clients come and go. The costs of these seconds."""
        before = self._counts()
        began = self._clock()
        self._waiting.extend(range(self._next_user, self._next_user + load.waiting))
        self._next_user += load.waiting
        await asyncio.gather(
            self._pace(load.connects_per_s, load.seconds, lambda: self._connect(self._next_client(), self._connected)),
            self._pace(load.disconnects_per_s, load.seconds, self._disconnect_one),
        )
        await asyncio.sleep(began + load.seconds - self._clock())
        return self._costs(before)

    async def storm(self, load: StormLoad) -> Costs:
        """Clients are lost, and come back. The costs of these seconds."""
        before = self._counts()
        began = self._clock()
        lost, self._idle = self._idle[: load.dropped], self._idle[load.dropped :]
        for client in lost:
            client.gateway.disconnect(client)
        back = map(self._client, sorted(client.number for client in lost))  # neighbours are on different gateways
        seconds = load.dropped / load.connects_per_s
        await self._pace(load.connects_per_s, seconds, lambda: self._connect(next(back), self._idle))
        await asyncio.sleep(max(0.0, began + load.seconds - self._clock()))
        return self._costs(before)

    async def _pace(self, rate: float, seconds: float, act: Callable[[], None]) -> None:
        began = self._clock()
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - self._clock()))
            act()

    def _next_client(self) -> Client:
        if self._waiting:
            return self._client(self._waiting.popleft())
        self._next_user += 1
        return self._client(self._next_user - 1)

    def _client(self, user: int) -> Client:
        members = self._size.file_members
        file = f"document-{user // members}" if members else ""
        return Client(user, self.gateways[user % len(self.gateways)], file)

    def _connect(self, client: Client, clients: list[Client]) -> None:
        self._spawn(self._connect_to(client, clients))

    async def _connect_to(self, client: Client, clients: list[Client]) -> None:
        await client.gateway.connect(client)
        clients.append(client)  # only who is connected can disconnect

    def _disconnect_one(self) -> None:
        client = self._take_one()
        client.gateway.close(client)
        self._waiting.append(client.number)

    def _take_one(self) -> Client:
        """A random client, which is connected no longer."""
        index = self._rng.randrange(len(self._connected))
        self._connected[index], self._connected[-1] = self._connected[-1], self._connected[index]
        return self._connected.pop()

    def _spawn(self, work: Any) -> None:  # noqa: ANN401 - any coroutine
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Counts

    def _counts(self) -> Costs:
        for gateway in self.gateways:
            gateway.waits.clear()
        batches = sum(gateway.registration.last_committed_batch for gateway in self.gateways)
        unregistered = sum(gateway.unregistered for gateway in self.gateways)
        others = {"batches": batches, "unregistered": unregistered, "busy": self._etcd.busy, "seconds": self._clock()}
        return {**self._etcd.counts, **others}

    def _costs(self, before: Costs) -> Costs:
        waits = sorted(wait for gateway in self.gateways for wait in gateway.waits)
        after = self._counts()
        costs = {name: after[name] - before.get(name, 0.0) for name in after}
        costs["streams"] = float(self._size.nodes * self._size.routers)
        pings = costs["streams"] * costs["seconds"] / HopSettings().ping
        costs["stream_messages"] = pings + costs.pop("acknowledgements", 0.0)
        costs["wait_p50_ms"] = _quantile_ms(waits, 0.5)
        costs["wait_p99_ms"] = _quantile_ms(waits, 0.99)
        return costs


def _quantile_ms(waits: list[float], share: float) -> float:
    return round(waits[int(len(waits) * share)] * 1000, 1) if waits else 0.0


def simulate(size: FleetSize, loads: "list[SteadyLoad | StormLoad]", etcd: EtcdCosts, seed: int = 0) -> list[Costs]:
    """The costs of each load, one after the other, in one fleet. AssertionError: something has failed inside."""
    scheduler = Scheduler()
    rng = random.Random(seed)
    loop = LateTimers(scheduler, rng)  # type: ignore[abstract]
    clock = loop.time
    server = ModelledEtcd(MemoryStore(clock), etcd)
    found: list[Costs] = []

    async def run() -> None:
        fleet = SimulatedFleet(size, server, clock, rng)
        await fleet.start()
        for load in loads:
            found.append(await (fleet.steady(load) if isinstance(load, SteadyLoad) else fleet.storm(load)))
            await asyncio.sleep(SETTLE)

    task = loop.create_task(run())
    try:
        while not task.done():
            scheduler.run_until(scheduler.now + 1.0)
        assert not scheduler.errors, scheduler.errors[0]
        task.result()
    finally:
        scheduler.close()
    return found
