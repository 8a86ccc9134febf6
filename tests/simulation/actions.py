"""What clients, callers and operators do, and what goes wrong: each an action on a cluster, with its arguments."""

from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration

from homing.v1 import router_pb2
from router.push import Target as PushTarget
from tests.simulation.client import SimulatedClient
from tests.simulation.cluster import GATEWAYS, ROUTERS, STORE, Cluster
from tests.simulation.gateway_process import GatewayProcess
from tests.simulation.history import BackendChange, Fault, Sent, Target
from tests.simulation.loop import ProcessState
from tests.simulation.store_client import WATCH

USERS = tuple(f"u{number}" for number in range(8))
FILES = ("f1", "f2", "f3", "f4")
WALL_JUMPS = (-3600.0, -2.0, -0.005, 3600.0)  # seconds


class Actions:
    """Actions on one cluster. A fault ends by itself; `heal` ends all of them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._pushes = 0
        self._ends: dict[int, tuple[Fault, Callable[[], None]]] = {}  # of faults that last
        self._faults = 0

    # Clients

    def connect(self, user: str, gateway: str, files: tuple[str, ...] = (), late_token: bool = False) -> None:
        client = self.cluster.new_client(user)
        client.connect(self.cluster.gateways[gateway], files, late_token)

    def disconnect(self, client: SimulatedClient) -> None:
        client.disconnect()

    def move(self, client: SimulatedClient, gateway: str) -> None:
        """The user leaves one gateway and comes to another, as with a new network."""
        client.disconnect()
        self.connect(client.user, gateway, client.connected.files if client.connected else ())

    def join(self, client: SimulatedClient, file: str) -> None:
        client.join(file)

    def leave(self, client: SimulatedClient, file: str) -> None:
        client.leave(file)

    def set_stuck(self, client: SimulatedClient, stuck: bool) -> None:
        """The client reads nothing, or reads again."""
        transport = client.transport
        if transport is not None:
            transport.loop.call_soon(transport.set_stuck, stuck)

    # Callers

    def push(
        self,
        router: str,
        stream: str,
        target: Target,
        ttl: float = 30.0,
        ack_timeout: float = 0.0,
        dedup: bool = True,
    ) -> str:
        """The push_id; "" while the router does not serve. `dedup`: the push_id counts as the caller's own."""
        process = self.cluster.routers[router]
        if not process.ready or not process.alive:
            return ""
        self._pushes += 1
        push_id = f"p{self._pushes:07d}"
        sent = Sent(
            push_id, f"{process.name}/{stream}", process.name, target, self.cluster.now, ttl, ack_timeout, dedup
        )
        self.cluster.sent[push_id] = sent
        self.cluster.history.sent.append(sent)
        process.loop.call_soon(process.push, sent, _request(sent))
        return push_id

    def repeat(self, router: str, push_id: str) -> None:
        """The caller sends a push again under its push_id, as after UNREACHABLE, perhaps to another router."""
        process, first = self.cluster.routers[router], self.cluster.sent[push_id]
        if process.ready and process.alive:
            sent = Sent(push_id, f"{process.name}/repeats", process.name, first.target, self.cluster.now)
            if first.contacted is None:
                first.contacted = set()
            sent.contacted = first.contacted  # receipts do not show which of the two it was
            self.cluster.sent[push_id] = sent
            self.cluster.history.sent.append(sent)
            process.loop.call_soon(process.push, sent, _request(sent))

    def change_membership(self, router: str, user: str, file: str, leave: bool) -> None:
        """A backend's Join or Leave of all sessions of a user."""
        process = self.cluster.routers[router]
        if not process.ready or not process.alive:
            return
        change = BackendChange(user, file, leave, self.cluster.now)
        self.cluster.history.backend_changes.append(change)

        def on_answer(complete: bool) -> None:
            change.t_answered = self.cluster.now if complete else None

        process.loop.call_soon(process.change_membership, PushTarget(user=user), file, leave, on_answer)

    # Processes

    def kill(self, gateway: str, seconds: float) -> None:
        process = self.cluster.gateways[gateway]
        if process.alive:
            process.end()
            self._begin("kill", gateway, seconds, lambda: self._replace(process))

    def kill_router(self, router: str, seconds: float) -> None:
        process = self.cluster.routers[router]
        if process.alive:
            process.end()
            self._begin("kill", router, seconds, lambda: self.cluster.start_router(router))

    def pause(self, name: str, seconds: float) -> None:
        process = self.cluster.gateways.get(name) or self.cluster.routers[name]
        if process.loop.state is ProcessState.RUNNING:
            process.loop.pause()
            self._begin("pause", name, seconds, process.loop.resume)

    def drain(self, gateway: str, seconds: float) -> None:
        """SIGTERM; another process is started afterwards."""
        process = self.cluster.gateways[gateway]
        if process.alive and not process.draining:
            process.stop()
            self._begin("drain", gateway, seconds, lambda: self._replace(process))

    def _replace(self, process: GatewayProcess) -> None:
        """Start another process, unless that has been done."""
        if self.cluster.gateways[process.name] is process:
            process.end()
            self.cluster.start_gateway(process.name)

    def set_wall_clock(self, name: str, seconds: float) -> None:
        self.cluster.clocks[name].wall_offset += seconds
        self._record("wall clock", "begin", name)

    # The network

    def block(self, source: str, target: str, seconds: float) -> None:
        """Nothing passes in this direction."""
        link = self.cluster.network.link(source, target)
        if not link.blocked:
            link.block()
            store = "store " if STORE in (source, target) else ""
            self._begin(f"{store}block", f"{source} > {target}", seconds, link.unblock)

    def block_both(self, first: str, second: str, seconds: float) -> None:
        self.block(first, second, seconds)
        self.block(second, first, seconds)

    def delay(self, source: str, target: str, delay: float, seconds: float) -> None:
        link = self.cluster.network.link(source, target)

        def end() -> None:
            link.delay = 0.0

        link.delay = delay
        self._begin("store delay" if STORE in (source, target) else "delay", f"{source} > {target}", seconds, end)

    def reset(self, router: str, gateway: str) -> None:
        self.cluster.network.reset(router, gateway)
        self._record("reset", "begin", f"{router} - {gateway}")

    # The store

    def stop_store(self, seconds: float) -> None:
        """The store has no quorum: nothing is answered. Afterwards every lease has its whole TTL again."""
        server = self.cluster.server
        if server.loop.state is ProcessState.RUNNING:
            server.loop.pause()
            self._begin("store pause", STORE, seconds, self._resume_store)

    def _resume_store(self) -> None:
        self.cluster.server.renew_leases()
        self.cluster.server.loop.resume()

    def delay_watch(self, router: str, seconds: float) -> None:
        """The watch of this router shows nothing: its table is behind."""
        link = self.cluster.network.link(STORE + WATCH, router)
        if not link.blocked:
            link.block()
            self._begin("watch block", router, seconds, link.unblock)

    def break_watch(self, router: str, lost: bool, compact: bool) -> None:
        """`lost`: the table is read again. `compact`: what the watch has not shown is gone from the history."""
        if compact:
            self.cluster.store.compact(self.cluster.store._revision)
        process = self.cluster.routers[router]
        process.loop.call_soon(process.store.break_watches, lost)
        self._record("watch break", "begin", router)

    def expire_lease(self, gateway: str) -> None:
        """The lease of a node ends early, as when it was revoked by hand."""
        entry = self.cluster.store._entries.get(f"/homing/c/nodes/{gateway}")
        if entry is not None:
            self.cluster.server.loop.call_soon(self.cluster.store._end_lease, entry.lease)
            self._record("lease revoked", "begin", gateway)

    # Time

    def wait(self, seconds: float) -> None:
        self.cluster.run(seconds)

    def heal(self) -> None:
        """End every fault."""
        for number in list(self._ends):
            self._end(number)
        for client in self.cluster.open_clients():
            self.set_stuck(client, False)

    # Inside

    def _begin(self, fault: str, subject: str, seconds: float, end: Callable[[], None]) -> None:
        self._faults += 1
        number = self._faults
        self._record(fault, "begin", subject)
        self._ends[number] = Fault(fault, "end", subject, 0.0), end
        self.cluster.network.kernel.call_later(seconds, self._end, number)

    def _end(self, number: int) -> None:
        found = self._ends.pop(number, None)
        if found is not None:
            found[0].t = self.cluster.now
            self.cluster.history.faults.append(found[0])
            found[1]()

    def _record(self, fault: str, phase: str, subject: str) -> None:
        self.cluster.history.faults.append(Fault(fault, phase, subject, self.cluster.now))


def _request(sent: Sent) -> router_pb2.PushRequest:
    kind, name = sent.target
    target = router_pb2.Target()
    if kind == "session":
        target.session = int(name)
    elif kind == "everyone":
        target.everyone = True
    else:
        setattr(target, kind, name)
    request = router_pb2.PushRequest(target=target, event="e", data=b"{}", push_id=sent.push_id, max_deliveries=1000)
    if sent.ttl != 30.0:
        request.ttl.CopyFrom(_duration(sent.ttl))
    if sent.ack_timeout:
        request.ack_timeout.CopyFrom(_duration(sent.ack_timeout))
    return request


def _duration(seconds: float) -> Duration:
    return Duration(nanos=int(seconds % 1 * 1e9), seconds=int(seconds))


HOSTS = (*GATEWAYS, *ROUTERS)
