"""A seeded random walk over a cluster: actions and faults, then peace, then the verdict."""

import bisect
import random
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulation.actions import FILES, USERS, WALL_JUMPS, Actions
from tests.simulation.client import SimulatedClient
from tests.simulation.cluster import GATEWAYS, ROUTERS, STORE, Cluster
from tests.simulation.history import History, Target
from tests.simulation.invariants import Violation, check

HEAL = 30.0  # seconds from the end of the faults until everything must agree
CLIENTS = 24  # about as many are connected
PROBE = 2.0  # seconds for the last pushes


class Result(NamedTuple):
    """One run of one seed. Seconds are virtual."""

    seed: int
    steps: int
    violations: list[Violation]
    step: int  # that of the first violation; 0: none
    tail: list[str]  # the records before the first violation
    callbacks: int
    seconds: float
    pushes: int
    receipts: int
    faults: int
    digest: int


class Walk:
    """Chooses actions by the seed. One step is one action, and the time until the next one."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self.cluster = cluster
        self.actions = Actions(cluster)
        self._rng = rng
        self._recent: list[int] = []  # sessions, some of them over
        self.times: list[float] = []  # of the steps
        self._calm = rng.random() < 0.1  # a share of the seeds have no faults
        kinds: list[tuple[int, Callable[[], None]]] = [
            (44, self._push),
            (10, self._connect),
            (5, self._disconnect),
            (7, self._move),
            (8, self._join),
            (6, self._leave),
            (2, self._backend_join),
            (3, self._stick),
            (0 if self._calm else 5, self._fault),
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
            self.cluster.run(rng.expovariate(200))
        else:
            self.cluster.run(rng.random() * 1.0)

    def populate(self) -> None:
        """The first clients."""
        for _ in range(CLIENTS // 2):
            self._connect()
        self.cluster.run(1.0)

    def finish(self) -> None:
        """End all faults, wait, compare what everybody holds, and push to each session once more."""
        self.actions.heal()
        self.cluster.run(HEAL)
        self.cluster.record_states()
        for client in self.cluster.open_clients():
            for router in ROUTERS:
                self.actions.push(router, "last", ("session", str(client.session)))
        self.cluster.run(PROBE)

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
        router, stream, target = rng.choice(ROUTERS), rng.choice("ab"), self._target()
        ttl = rng.choice((0.005, 0.05, 0.5, 2.0)) if rng.random() < 0.2 else 30.0
        ack_timeout = rng.choice((0.05, 0.3, 1.0)) if rng.random() < 0.2 else 0.0
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            self.actions.push(router, stream, target, ttl, ack_timeout)

    def _connect(self) -> None:
        rng = self._rng
        if len(self.cluster.clients) < CLIENTS * 1.5:
            self.actions.connect(rng.choice(USERS), rng.choice(GATEWAYS), self._files(), rng.random() < 0.2)

    def _disconnect(self) -> None:
        if (client := self._client()) is not None:
            self.actions.disconnect(client)

    def _move(self) -> None:
        if (client := self._client()) is not None:
            self.actions.move(client, self._rng.choice(GATEWAYS))

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
        seconds = rng.choice((0.05, 0.3, 1.0, 2.5, 6.0)) * (0.5 + rng.random())
        hosts = rng.choice((gateway, router))
        one_way = rng.choice(((router, gateway), (gateway, router)))
        to_store = rng.choice(((hosts, STORE), (STORE, hosts)))
        faults: tuple[tuple[int, Callable[..., None], tuple[Any, ...]], ...] = (
            (3, actions.pause, (gateway, seconds)),
            (1, actions.pause, (router, seconds)),
            (1, actions.kill, (gateway, seconds)),
            (1, actions.kill_router, (router, seconds)),
            (1, actions.drain, (gateway, max(seconds, 4.0))),
            (2, actions.block, (*one_way, seconds)),
            (1, actions.block_both, (*one_way, seconds)),
            (3, actions.delay, (*one_way, rng.random() * 0.3, seconds)),
            (3, actions.reset, (router, gateway)),
            (2, actions.block, (*to_store, seconds)),
            (2, actions.block_both, (hosts, STORE, seconds)),
            (2, actions.delay, (*to_store, rng.random() * 0.3, seconds)),
            (1, actions.stop_store, (seconds,)),
            (4, actions.delay_watch, (router, seconds)),
            (3, actions.break_watch, (router, rng.random() < 0.5, rng.random() < 0.5)),
            (1, actions.expire_lease, (gateway,)),
            (2, actions.set_wall_clock, (gateway, rng.choice(WALL_JUMPS))),
        )
        _, action, arguments = rng.choices(faults, [weight for weight, _, _ in faults])[0]
        action(*arguments)


def run(seed: int, steps: int, replaced: dict[str, Any] | None = None, strict: bool = False) -> Result:
    """One seed: so many steps, then peace. `replaced`: see `Cluster`; `strict`: see `check`."""
    with Cluster(seed, replaced) as cluster:
        walk = Walk(cluster, cluster.rng)
        walk.populate()
        for _ in range(steps):
            walk.step()
        walk.finish()
        return judge(cluster, seed, walk.times, strict)


def judge(cluster: Cluster, seed: int, times: list[float], strict: bool = False) -> Result:
    """The result of what has run on the cluster. `times`: when its steps began."""
    history, now = cluster.history, cluster.now
    found = check(history, strict) + [Violation("error", text, now) for text in cluster.scheduler.errors]
    first = min((violation.t for violation in found), default=0.0)
    return Result(
        seed=seed,
        steps=len(times),
        violations=found,
        step=bisect.bisect(times, first),
        tail=list(history.tail(min(first, now))) if found else [],
        callbacks=cluster.scheduler.callbacks,
        seconds=now,
        pushes=len(history.sent),
        receipts=len(history.receipts),
        faults=sum(fault.phase == "begin" for fault in history.faults),
        digest=digest(history),
    )


def digest(history: History) -> int:
    """A number that two runs share if everything in them is the same."""
    parts: list[object] = []
    for sent in history.sent:
        parts += sent.push_id, sent.t_invoke, sent.t_return, sorted(sent.outcomes), sorted(sent.contacted or ())
    for receipt in history.receipts:
        parts += receipt.push_id, receipt.conn, receipt.t_written, receipt.t
    for one in history.connected:
        parts += one.session, one.t, one.t_ended
    for end in history.ends:
        parts += end.node, end.epoch, end.known_to, end.t
    return zlib.crc32(repr(parts).encode())
