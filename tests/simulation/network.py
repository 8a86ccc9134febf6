"""The network between simulated processes: links with delays, which can be blocked in one direction, and connections.

A link is one direction between two processes. What is sent over a blocked link waits, as TCP keeps what is not
acknowledged, and arrives when the link is open again. Messages of one connection arrive in their order.
"""

import random
from collections.abc import Callable
from typing import Any, Protocol

from tests.simulation.loop import ProcessLoop, ProcessState, Scheduler

BASE_DELAY = (0.0001, 0.003)  # seconds


class Link:
    """One direction between two processes."""

    __slots__ = ("_network", "_rng", "_waiting", "blocked", "delay")

    def __init__(self, network: "Network", rng: random.Random) -> None:
        self._network = network
        self._rng = rng
        self.blocked = False
        self.delay = 0.0  # seconds, beyond the base delay
        self._waiting: list[tuple[Pipe, ProcessLoop, Callable[..., Any], tuple[Any, ...]]] = []

    def transfer(self, pipe: "Pipe", loop: ProcessLoop, receive: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if self.blocked:
            self._waiting.append((pipe, loop, receive, args))
            return
        now = self._network.scheduler.now
        when = now + self._rng.uniform(*BASE_DELAY) + self.delay
        if pipe.ordered:
            when = pipe.last = max(when, pipe.last)
        loop.call_at(when, receive, *args)

    def block(self) -> None:
        self.blocked = True

    def unblock(self) -> None:
        self.blocked = False
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            self.transfer(*one)


class Pipe:
    """One direction of one connection. `ordered`: what is sent first arrives first."""

    __slots__ = ("_link", "_loop", "last", "ordered")

    def __init__(self, link: Link, loop: ProcessLoop, ordered: bool = True) -> None:
        """`loop`: the receiver's."""
        self._link = link
        self._loop = loop
        self.last = 0.0
        self.ordered = ordered

    def send(self, receive: Callable[..., Any], *args: Any) -> None:
        """Call `receive` at the other end, when the message has arrived."""
        self._link.transfer(self, self._loop, receive, args)


class ConnectionEnd(Protocol):
    """One end of a connection, in one process."""

    loop: ProcessLoop

    def on_lost(self) -> None:
        """The connection was reset, or its other process has died."""
        ...


class Network:
    """All links, what listens, and the ends of open connections."""

    def __init__(self, scheduler: Scheduler, seed: int) -> None:
        self.scheduler = scheduler
        self.kernel = ProcessLoop(scheduler, "kernel")  # type: ignore[abstract]  # what a host does for its processes; never paused
        self._seed = seed
        self._links: dict[tuple[str, str], Link] = {}
        self._listeners: dict[str, tuple[ProcessLoop, Callable[[Any], None]]] = {}
        self._connections: list[tuple[ConnectionEnd, ConnectionEnd]] = []

    def link(self, source: str, target: str) -> Link:
        found = self._links.get((source, target))
        if found is None:
            rng = random.Random(f"{self._seed} {source} {target}")
            found = self._links[source, target] = Link(self, rng)
        return found

    def pipe(self, source: str, loop: ProcessLoop, ordered: bool = True, target: str = "") -> Pipe:
        """`loop`: the receiver's. `target`: whose link it is, if not the receiver's."""
        return Pipe(self.link(source, target or loop.name), loop, ordered)

    # Listeners and connections

    def listen(self, loop: ProcessLoop, on_connect: Callable[[Any], None]) -> None:
        """Connections to this process are given to `on_connect`, on its loop."""
        self._listeners[loop.name] = loop, on_connect

    def listener(self, name: str) -> tuple[ProcessLoop, Callable[[Any], None]] | None:
        """The listener under this name; None: a connection is refused."""
        found = self._listeners.get(name)
        return found if found is not None and found[0].state is not ProcessState.DEAD else None

    def add_connection(self, first: ConnectionEnd, second: ConnectionEnd) -> None:
        self._connections.append((first, second))

    def remove_connection(self, end: ConnectionEnd) -> None:
        self._connections = [pair for pair in self._connections if end not in pair]

    def on_death(self, loop: ProcessLoop) -> None:
        """A process has died: the other ends of its connections learn of it."""
        self._break([pair for pair in self._connections if loop in (pair[0].loop, pair[1].loop)])

    def reset(self, first: str, second: str) -> None:
        """Every connection between the two breaks, at both ends."""
        names = {first, second}
        self._break([pair for pair in self._connections if {pair[0].loop.name, pair[1].loop.name} == names])

    def _break(self, broken: list[tuple[ConnectionEnd, ConnectionEnd]]) -> None:
        self._connections = [pair for pair in self._connections if pair not in broken]
        for one, other in broken:
            for source, end in (one, other), (other, one):
                self.pipe(source.loop.name, end.loop).send(end.on_lost)
