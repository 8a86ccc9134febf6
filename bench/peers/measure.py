"""The figures of one server: its process's CPU by its own clock, and its resident memory."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from bench.cluster.load.worker_process import Json, WorkerProcess, worker_process
from bench.cluster.process_usage import cpu_seconds, rss_bytes
from bench.peers.servers import Certificate, PeerServer, running
from homing.cluster.errors import CommandError

WARM_UP_CLIENTS, WARM_UP_ECHOES = 10, 200
IDLE_TIME = 2.0  # seconds between the last connect and the first reading of memory
SETTLE_TIME = 10.0  # seconds between the large messages and the second one
MAX_RESUMED = 500  # connects with a resumed handshake, closed again
Figures = dict[str, float]
Step = Callable[[], Figures]


class Sizes(NamedTuple):
    """How much of each is measured."""

    connections: int
    deliveries: int
    echoes: int


class PeerRun:
    """One server and the process of its clients."""

    def __init__(self, server: PeerServer, clients: WorkerProcess, sizes: Sizes) -> None:
        self._server, self._clients, self._sizes = server, clients, sizes
        self.warm_up()
        self._empty = rss_bytes(server.pid)

    def warm_up(self) -> None:
        """What a server allocates once is not its connections'."""
        self._call("open", count=WARM_UP_CLIENTS)
        self._call("echo", count=WARM_UP_ECHOES)

    def connect(self) -> Figures:
        """CPU a connect; the connections stay. With full handshakes over TLS."""
        count = self._sizes.connections
        opened: Json = {}
        us = self._cpu_us(count, lambda: opened.update(self._call("open", count=count)))
        if self._server.endpoint.deflate and opened["deflate"] != count:
            raise CommandError("it did not agree on permessage-deflate")
        return {"connect_us": us}

    def memory(self) -> Figures:
        """Bytes a connection: idle, and after a large message in each direction."""
        time.sleep(IDLE_TIME)
        idle = self._bytes_each()
        self._call("exchange")
        time.sleep(SETTLE_TIME)
        return {"idle_bytes": idle, "after_bytes": self._bytes_each()}

    def memory_with_deflate(self) -> Figures:
        """The same where permessage-deflate has been agreed on."""
        return {f"deflate_{name}": value for name, value in self.memory().items()}

    def echo(self) -> Figures:
        """CPU of an echo, one at a time."""
        count = self._sizes.echoes
        return {"echo_us": self._cpu_us(count, lambda: self._call("echo", count=count))}

    def deliver(self) -> Figures:
        """CPU of one delivery of a message to all connections."""
        connections = self._sizes.connections + WARM_UP_CLIENTS
        rounds = max(1, self._sizes.deliveries // connections)
        self._call("deliver", count=max(1, rounds // 10))
        return {"delivery_us": self._cpu_us(rounds * connections, lambda: self._call("deliver", count=rounds))}

    def resume(self) -> Figures:
        """CPU a connect with a resumed handshake; the connections are closed. CommandError: they were not resumed."""
        count = min(MAX_RESUMED, self._sizes.connections)
        self._call("open", count=1, resume=True)  # brings the ticket
        opened: Json = {}
        us = self._cpu_us(count, lambda: opened.update(self._call("open", count=count, resume=True)))
        if opened["resumed"] != count:
            raise CommandError(f"{opened['resumed']} of {count} handshakes were resumed")
        return {"resumed_us": us}

    def _bytes_each(self) -> float:
        return (rss_bytes(self._server.pid) - self._empty) / self._sizes.connections

    def _cpu_us(self, count: int, operation: Callable[[], object]) -> float:
        before = cpu_seconds(self._server.pid)
        operation()
        return (cpu_seconds(self._server.pid) - before) / count * 1e6

    def _call(self, command: str, **arguments: object) -> Json:
        answer = self._clients.request(command, **arguments)
        if "error" in answer:
            raise CommandError(f"{command}: {answer['error']}")
        return answer


def steps_of(run: PeerRun, server: PeerServer, with_memory: bool) -> list[Step]:
    """What is measured of this server, in order."""
    if server.endpoint.deflate:
        return [run.connect, run.memory_with_deflate]
    memory = [run.memory] if with_memory and not server.is_bare else []
    deliver = [run.deliver] if server.delivers else []
    resume = [run.resume] if server.endpoint.ca and not server.is_bare else []
    return [run.connect, *memory, run.echo, *deliver, *resume]


def measure(
    name: str, certificate: Certificate, sizes: Sizes, *, with_memory: bool = False, deflate: bool = False
) -> tuple[Figures, list[str]]:
    """The figures of one process of this server, and the reasons of what could not be measured.

    `deflate`: only memory, with permessage-deflate. CommandError: nothing could be measured.
    """
    figures: Figures = {}
    reasons = []
    with running(name, certificate, deflate) as server, clients_of(server) as clients:
        run = PeerRun(server, clients, sizes)
        for step in steps_of(run, server, with_memory):
            try:
                figures |= step()
            except CommandError as error:
                reasons.append(str(error))
    return figures, reasons


def clients_of(server: PeerServer) -> AbstractContextManager[WorkerProcess]:
    """The process of its clients."""
    return worker_process("bench.peers.client_process", **server.endpoint._asdict())
