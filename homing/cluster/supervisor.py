"""Start the parts in order, watch them, stop them in the opposite order, leave nothing behind.

Start: servers, routers, gateways, which are told where a router is; each tier waits until every part of it has said
that it is ready. Stop: routers, gateways, servers, each part within a bound. Nothing is restarted: a part that dies is
reported and taken out of cluster.json, and when a server dies the rest is stopped, since it would only limp.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from homing.cluster import devtoken, file, kafka, servers, services, settings
from homing.cluster.process import Child, how_it_ended
from homing.cluster.trouble import CommandError

GRACE = {"router": 5.0, "gateway": 10.0, "server": 5.0}  # seconds from SIGTERM to SIGKILL, by kind
STOP_ORDER = ("router", "gateway", "server")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wanted(NamedTuple):
    """What to start. `etcd`, `redis` and `kafka` name servers that run already; empty: start our own."""

    run_dir: Path
    gateways: int
    routers: int
    etcd: list[str]
    redis: str
    user: settings.Table
    kafka: str = ""
    bus: str = "redis"  # or "kafka"
    delivery: str = "routed"  # or "broadcast"


class Part(NamedTuple):
    """A running part. `entry` is its line in cluster.json, None for a server."""

    kind: str
    child: Child
    entry: file.Gateway | file.Router | None = None


class Supervisor:
    """One cluster, from its first server to the last process gone."""

    def __init__(self, wanted: Wanted, say: Callable[[str], None], on_ready: Callable[[file.Cluster], None]) -> None:
        self._wanted = wanted
        self._say = say
        self._on_ready = on_ready
        self._parts: list[Part] = []
        self._etcd = wanted.etcd
        self._redis = wanted.redis
        self._kafka = wanted.kafka
        self._signals = 0
        self._stop_asked = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Until a signal (0) or a server's death (1). Trouble: a part did not start; everything is stopped again."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        try:
            if await self._unless_stopped(self._start()):
                return await self._watch()
            return 0
        finally:
            file.remove(self._wanted.run_dir)
            await self._stop()
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        self._signals += 1
        self._stop_asked.set()
        if self._signals > 1:
            self._hurry.set()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` to its end (True), or give it up when a signal comes first (False)."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop_asked.wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            await task
            return True
        task.cancel()
        await asyncio.wait([task])
        return False

    async def _start(self) -> None:
        wanted = self._wanted
        (wanted.run_dir / "logs").mkdir(exist_ok=True)
        async with asyncio.TaskGroup() as tier:
            tier.create_task(self._start_etcd())
            tier.create_task(self._start_redis())
            tier.create_task(self._start_kafka())
        key = devtoken.ensure_key(wanted.run_dir)
        bus = {"kind": wanted.bus, "redis": self._redis} | ({"kafka": self._kafka} if self._kafka else {})
        table = settings.resolve(wanted.user, etcd=self._etcd, bus=bus, delivery=wanted.delivery, key_file=key)
        await self._start_tier("router", wanted.routers, services.router_command, settings.write(wanted.run_dir, table))
        settings.name_router(table, self._cluster().routers[0].http)
        config = settings.write(wanted.run_dir, table)
        await self._start_tier("gateway", wanted.gateways, services.gateway_command, config)
        cluster = self._cluster()
        file.write(wanted.run_dir, cluster)
        self._on_ready(cluster)

    async def _start_tier(self, kind: str, count: int, command: services.CommandLine, config: Path) -> None:
        user = self._wanted.user.get(kind, {})
        async with asyncio.TaskGroup() as tier:
            for index in range(count):
                tier.create_task(self._start_service(kind, index, command(config, user, index)))

    async def _start_etcd(self) -> None:
        if self._etcd:
            self._say(f"etcd       {','.join(self._etcd)}  (not ours)")
            return
        started = await servers.start_etcd(self._wanted.run_dir)
        self._etcd = [started.address]
        self._server_is_up(started)

    async def _start_redis(self) -> None:
        if self._redis:
            self._say(f"redis      {self._redis}  (not ours)")
            return
        started = await servers.start_redis(self._wanted.run_dir)
        self._redis = f"redis://{started.address}/0"
        self._server_is_up(started)

    async def _start_kafka(self) -> None:
        if self._kafka:
            self._say(f"kafka      {self._kafka}  (not ours)")
        elif self._wanted.bus == "kafka":
            started = await kafka.start_kafka(self._wanted.run_dir)
            self._kafka = started.address
            self._server_is_up(started)

    def _server_is_up(self, started: servers.Started) -> None:
        child = started.child
        self._parts.append(Part("server", child))
        self._say(f"{child.name:10} {started.address}  pid {child.pid}, {started.origin}, {started.seconds:.1f} s")

    async def _start_service(self, kind: str, index: int, command: list[str]) -> None:
        child, ready = await services.start(f"{kind}-{index + 1}", command, self._wanted.run_dir / "logs")
        self._parts.append(Part(kind, child, ready.entry()))
        if isinstance(ready, services.GatewayReady):
            where = f"{ready.url}  node {ready.node_id}, node port {ready.node}, admin {ready.admin}"
        else:
            where = f"{ready.grpc}  http {ready.http}"
        self._say(f"{child.name:10} {where}, pid {child.pid}")

    def _cluster(self) -> file.Cluster:
        entries = [part.entry for part in sorted(self._parts, key=lambda part: (len(part.child.name), part.child.name))]
        return file.Cluster(
            etcd=self._etcd,
            redis=self._redis,
            kafka=self._kafka,
            gateways=[entry for entry in entries if isinstance(entry, file.Gateway)],
            routers=[entry for entry in entries if isinstance(entry, file.Router)],
            servers={part.child.name: part.child.pid for part in self._parts if part.kind == "server"},
        )

    async def _watch(self) -> int:
        """Until a signal (0) or a server's death (1); a gateway's or a router's death is told and lived with."""
        stopped = asyncio.ensure_future(self._stop_asked.wait())
        gone = {asyncio.ensure_future(part.child.wait_gone()): part for part in self._parts}
        try:
            while not stopped.done():
                done, _ = await asyncio.wait([stopped, *gone], return_when=asyncio.FIRST_COMPLETED)
                for part in [gone.pop(task) for task in done if task in gone]:
                    self._parts.remove(part)
                    self._report_death(part)
                    if part.kind == "server":
                        return 1
                    file.write(self._wanted.run_dir, self._cluster())
            return 0
        finally:
            for task in (stopped, *gone):
                task.cancel()

    def _report_death(self, part: Part) -> None:
        child = part.child
        ending = "stopping the rest" if part.kind == "server" else "the others go on"
        what = "died" if child.returncode else "was stopped"
        self._say(f"{child.name} {what}: {how_it_ended(child.returncode or 0)}; {ending}. The end of {child.log}:")
        for line in child.last_lines():
            self._say(f"  {line}")

    async def _stop(self) -> None:
        for kind in STOP_ORDER:
            tier = [part.child for part in self._parts if part.kind == kind]
            await asyncio.gather(*(self._stop_one(child, GRACE[kind]) for child in tier))
        self._parts.clear()

    async def _stop_one(self, child: Child, grace: float) -> None:
        stop = asyncio.ensure_future(child.stop(grace))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait([stop, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not stop.done():
            await child.kill()
        if not await stop:
            self._say(f"{child.name} (pid {child.pid}) did not stop within {grace:.0f} s and was killed")


def start_cluster(wanted: Wanted, say: Callable[[str], None], on_ready: Callable[[file.Cluster], None]) -> int:
    """`homing up`, from the asyncio side: the exit status. Trouble travels through a TaskGroup unwrapped."""

    async def main() -> int:
        return await Supervisor(wanted, say, on_ready).run()

    try:
        return asyncio.run(main())
    except BaseExceptionGroup as group:
        first = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, CommandError):
            raise first from None
        raise
