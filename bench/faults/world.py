"""One experiment while it runs: the rig, its clients, the load and the history."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench.faults.bare_client import BareClient
from bench.faults.clients import Clients, FaultClient
from bench.faults.load import PushLoad
from bench.faults.records import HistoryWriter
from bench.faults.rig import FaultRig, start_rig
from homing import Router, RouterError
from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.keys import Keys
from registry.store import StoreError

FILE_MEMBERS = 20
BARE = 10  # one of so many clients is bare
AGREEMENT_WITHIN = 30.0  # seconds after the faults (invariant I8)
REPORTS_WITHIN = 25.0  # seconds until the calls must have ended: a ttl, the client library's margin, and some
STALL_INTERVAL = 0.02  # seconds


class Options(NamedTuple):
    """What the command line chooses."""

    clients: int = 300
    rate: float = 150.0  # pushes a second
    warm_up: float = 3.0  # seconds before the fault
    tls: bool = False  # of all clients


class Stalls:
    """How long this process, and so its clients, waited for a core: what no figure here can be better than."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + STALL_INTERVAL
            await asyncio.sleep(STALL_INTERVAL)
            self.longest = max(self.longest, time.monotonic() - due)


class World:
    """What an experiment gets."""

    def __init__(self, rig: FaultRig, history: HistoryWriter, options: Options, routers: list[Router]) -> None:
        self.rig = rig
        self.history = history
        self.options = options
        self.stalls = Stalls()
        self.clients = Clients(_clients(rig, history, options.clients, routers[0]))
        self.load = PushLoad(routers, self.clients, history, options.rate)

    @contextmanager
    def fault(self, fault: str, subject: str) -> Iterator[float]:
        """Record the begin and the end of a fault. Yields the time of the begin."""
        began = self.history.fault(fault, "begin", subject)
        try:
            yield began
        finally:
            self.history.fault(fault, "end", subject)

    @asynccontextmanager
    async def paused(self, subject: str, *pids: int) -> AsyncIterator[float]:
        """SIGSTOP these processes, and SIGCONT them at the end."""
        with self.fault("SIGSTOP", subject) as began:
            for pid in pids:
                _signal(pid, signal.SIGSTOP)
            try:
                yield began
            finally:
                for pid in pids:
                    _signal(pid, signal.SIGCONT)

    async def wait_agreement(self, within: float = AGREEMENT_WITHIN) -> float | None:
        """Seconds until every router's table, the open sockets and etcd's keys agree (I8); None: not within the limit.

        A push to everyone through each router must be written to each connected client, and to no one else.
        """
        began = time.monotonic()
        while time.monotonic() < began + within:
            with suppress(RouterError, StoreError):
                if len(self.clients.live) == len(self.clients.all) and await self._agree():
                    return time.monotonic() - began
            await asyncio.sleep(0.25)
        return None

    async def _agree(self) -> bool:
        expected = {client.live for client in self.clients.live}
        if await self.session_keys() != expected:
            return False
        for address in self.rig.router_addresses:
            async with Router(address) as router:
                report = await router.push(event="agreement", everyone=True, ttl=5, max_deliveries=10_000)
            written = {one.session for one in report.deliveries if str(one.outcome) == "WRITTEN"}
            if written != expected or len(report.deliveries) != len(expected) or report.registry_away:
                return False
        return expected == {client.live for client in self.clients.live}

    async def session_keys(self) -> set[int]:
        """The sessions that etcd has keys of."""
        store = self.store()
        try:
            found = await store.get_prefix(f"{Keys(self.rig.cluster.name).prefix}sessions/", keys_only=True)
        finally:
            await store.close()
        return {int(entry.key.split("/")[-2]) for entry in found.entries}

    def store(self) -> EtcdStore:
        """A client of etcd; close it."""
        return EtcdStore(EtcdSettings(endpoints=tuple(member.endpoint for member in self.rig.etcd)))


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _clients(rig: FaultRig, history: HistoryWriter, count: int, router: Router) -> list[FaultClient]:
    """Of two users one has two sessions and the other one, a bare client a user of its own; a file has 20 members."""
    files = max(1, count // FILE_MEMBERS)
    made: list[FaultClient] = []
    for number in range(count):
        bare, file = number % BARE == 0, f"file-{number % files}"
        user = f"bare-{number}" if bare else f"user-{number * 2 // 3}"
        token = rig.cluster.token(user, file)
        client = number, user, [file], token, rig.addresses, rig.epochs, history
        made.append(BareClient(*client, router) if bare else FaultClient(*client))
    return made


@asynccontextmanager
async def start_world(directory: Path, path: Path, options: Options, proxied: bool = False) -> AsyncIterator[World]:
    """A rig whose clients are connected and pushed to. Everything is stopped at the end; the history is in `path`."""
    async with start_rig(directory, proxied, options.tls) as rig:
        history = HistoryWriter(path)
        addresses = rig.router_addresses
        async with Router(*addresses) as one, Router(*reversed(addresses)) as two:
            world = World(rig, history, options, [one, two])
            watching = [asyncio.create_task(one) for one in (world.stalls.run(), rig.watch_epochs(history))]
            try:
                await _wait_known(rig)
                await world.clients.open_all()
                world.load.start()
                await asyncio.sleep(options.warm_up)
                yield world
            finally:
                await world.load.stop(REPORTS_WITHIN)
                history.close()
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
                await world.clients.close()


async def _wait_known(rig: FaultRig) -> None:
    """Until the epoch of each gateway is known."""
    async with asyncio.timeout(10):
        while rig.epochs.keys() != rig.gateways.keys():
            await asyncio.sleep(0.02)
