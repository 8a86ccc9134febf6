"""A seeded random walk over a cluster: it chooses actions and faults."""

import random
from collections.abc import Callable, Sequence

from tests.simulation.actions import FILES, USERS, WALL_JUMPS, Actions
from tests.simulation.client import SimulatedClient
from tests.simulation.cluster import GATEWAYS, ROUTERS, STORE, Cluster
from tests.simulation.history import Target

CLIENTS = 24  # about as many are connected


FAULT_KINDS = (
    *("pause gateway", "pause router", "kill gateway", "kill router", "drain"),
    *("block one way", "block both ways", "delay", "reset"),
    *("block store one way", "block store both ways", "delay store", "stop store"),
    *("delay watch", "break watch", "expire lease", "wall clock"),
)


class Walk:
    """Chooses actions by the seed. One step is one action, and the time until the next one."""

    def __init__(self, cluster: Cluster, rng: random.Random, fault_kinds: Sequence[str] = ()) -> None:
        """`fault_kinds`: of FAULT_KINDS; none: some, by the seed."""
        self.cluster = cluster
        self.actions = Actions(cluster)
        self._rng = rng
        self._hot: tuple[str, str, Target] | None = None  # router, stream and target of many pushes
        self._recent: list[int] = []  # sessions, some of them over
        self.times: list[float] = []  # of the steps
        self._pace = rng.choice((400.0, 200.0, 50.0))  # steps a second of virtual time
        self._fault_kinds = fault_kinds or rng.sample(FAULT_KINDS, rng.choice((1, 2, 3, 5, len(FAULT_KINDS))))
        fault_weight = 3 if fault_kinds else rng.choice((0, 1, 3, 6))
        kinds: list[tuple[int, Callable[[], None]]] = [
            (44, self._push),
            (2, self._repeat),
            (10, self._connect),
            (5, self._disconnect),
            (5, self._move),
            (3, self._move_while_pushed),
            (8, self._join),
            (6, self._leave),
            (2, self._backend_join),
            (3, self._stick),
            (fault_weight, self._fault),
            (10, self._come_back),
        ]
        self._kinds = [kind for _, kind in kinds]
        self._weights = [weight for weight, _ in kinds]

    def step(self) -> None:
        rng = self._rng
        self.times.append(self.cluster.now)
        rng.choices(self._kinds, self._weights)[0]()
        pause = rng.random()
        if pause < 0.3:
            self.cluster.run(rng.random() * 0.0005)
        elif pause < 0.98:
            self.cluster.run(rng.expovariate(self._pace))
        elif pause < 0.998:
            self.cluster.run(rng.random() * 1.0)
        else:
            self.cluster.run(rng.random() * 5.0)

    def populate(self) -> None:
        """The first clients."""
        for _ in range(CLIENTS // 2):
            self._connect()
        self.cluster.run(1.0)

    # Choices

    def _client(self) -> SimulatedClient | None:
        clients = self.cluster.open_clients()
        return self._rng.choice(clients) if clients else None

    def _files(self) -> tuple[str, ...]:
        return tuple(self._rng.sample(FILES, self._rng.choice((0, 0, 1, 2))))

    def _target(self) -> Target:
        rng = self._rng
        kind = rng.random()
        if kind < 0.35:
            client = self._client()
            if client is not None and rng.random() < 0.9:
                self._recent = [*self._recent[-10:], client.session]
                return "session", str(client.session)
            return "session", str(rng.choice(self._recent) if self._recent else 77)
        if kind < 0.70:
            return "user", rng.choice(USERS)
        if kind < 0.96:
            return "file", rng.choice(FILES)
        return "everyone", "everyone"

    def _push(self) -> None:
        rng = self._rng
        if self._hot is None or rng.random() < 0.1:
            self._hot = rng.choice(ROUTERS), rng.choice("ab"), self._target()
        router, stream, target = self._hot
        if rng.random() < 0.5:
            router, stream, target = rng.choice(ROUTERS), rng.choice("ab"), self._target()
        ttl = rng.choice((0.005, 0.05, 0.5, 2.0)) if rng.random() < 0.2 else 30.0
        ack_timeout = rng.choice((0.05, 0.3, 1.0)) if rng.random() < 0.2 else 0.0
        dedup = rng.random() < 0.6
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            self.actions.push(router, stream, target, ttl, ack_timeout, dedup)

    def _repeat(self) -> None:
        """A caller repeats a push of which it does not know what became."""
        recent = [one for one in self.cluster.history.sent[-40:] if one.dedup]
        unknown = [one for one in recent if one.t_return is None or "UNREACHABLE" in one.counts]
        if unknown:
            self.actions.repeat(self._rng.choice(ROUTERS), self._rng.choice(unknown).push_id)

    def _connect(self) -> None:
        rng = self._rng
        if len(self.cluster.clients) < CLIENTS * 1.5:
            self.actions.connect(rng.choice(USERS), rng.choice(GATEWAYS), self._files(), rng.random() < 0.2)

    def _disconnect(self) -> None:
        if (client := self._client()) is not None:
            self.actions.disconnect(client)

    def _move(self) -> None:
        """Most often somebody who is pushed to."""
        clients = self.cluster.open_clients()
        if self._hot is not None and self._rng.random() < 0.5:
            clients = [client for client in clients if client.user == self._hot[2][1]] or clients
        client = self._rng.choice(clients) if clients else None
        if client is not None:
            self.actions.move(client, self._rng.choice(GATEWAYS))

    def _move_while_pushed(self) -> None:
        """The user moves, and every few milliseconds there is another push."""
        rng = self._rng
        client = self._client()
        if client is None:
            return
        self._hot = rng.choice(ROUTERS), rng.choice("ab"), ("user", client.user)
        self.actions.move(client, rng.choice(GATEWAYS))
        for _ in range(8):
            self.times.append(self.cluster.now)
            self.actions.push(*self._hot)
            self.cluster.run(rng.expovariate(400))

    def _join(self) -> None:
        if (client := self._client()) is not None:
            self.actions.join(client, self._rng.choice(FILES))

    def _leave(self) -> None:
        if (client := self._client()) is not None:
            self.actions.leave(client, self._rng.choice(FILES))

    def _backend_join(self) -> None:
        rng = self._rng
        self.actions.change_membership(rng.choice(ROUTERS), rng.choice(USERS), rng.choice(FILES), rng.random() < 0.4)

    def _stick(self) -> None:
        if (client := self._client()) is not None:
            self.actions.set_stuck(client, self._rng.random() < 0.5)

    def _come_back(self) -> None:
        """Who was disconnected comes back."""
        if len(self.cluster.clients) < CLIENTS:
            self._connect()

    # Faults

    def _fault(self) -> None:
        rng, actions = self._rng, self.actions
        gateway, router = rng.choice(GATEWAYS), rng.choice(ROUTERS)
        host = rng.choice((gateway, router))
        seconds = rng.choice((0.05, 0.3, 1.0, 2.5, 6.0)) * (0.5 + rng.random())
        hop = rng.choice(((router, gateway), (gateway, router)))
        to_store = rng.choice(((host, STORE), (STORE, host)))
        match rng.choice(self._fault_kinds):
            case "pause gateway":
                actions.pause(gateway, seconds)
            case "pause router":
                actions.pause(router, seconds)
            case "kill gateway":
                actions.kill(gateway, seconds)
            case "kill router":
                actions.kill_router(router, seconds)
            case "drain":
                actions.drain(gateway, max(seconds, 4.0))
            case "block one way":
                actions.block(*hop, seconds)
            case "block both ways":
                actions.block_both(*hop, seconds)
            case "delay":
                actions.delay(*hop, rng.random() * 0.3, seconds)
            case "reset":
                actions.reset(router, gateway)
            case "block store one way":
                actions.block(*to_store, seconds)
            case "block store both ways":
                actions.block_both(host, STORE, seconds)
            case "delay store":
                actions.delay(*to_store, rng.random() * 0.3, seconds)
            case "stop store":
                actions.stop_store(seconds)
            case "delay watch":
                actions.delay_watch(router, seconds)
            case "break watch":
                actions.break_watch(router, rng.random() < 0.5, rng.random() < 0.5)
            case "expire lease":
                actions.expire_lease(gateway)
            case "wall clock":
                actions.set_wall_clock(gateway, rng.choice(WALL_JUMPS))
