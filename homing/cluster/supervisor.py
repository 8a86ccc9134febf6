"""Starts the processes of a cluster in order, watches them, and stops all of them.

Start order: servers, routers, gateways (their configuration names a router); each tier starts when the previous one is
ready. Stop order: routers, gateways, servers, each process within a time limit. Nothing is restarted: a process that
dies is reported and removed from cluster.json. When a server dies the rest is stopped: no cluster works without it.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from homing.cluster import cluster_file, devtoken, kafka, ports, redis_check, servers, services, settings
from homing.cluster.cluster_file import ClusterFile, GatewayEntry, RouterEntry
from homing.cluster.errors import CommandError
from homing.cluster.process import ChildProcess, exit_reason

STOP_TIMEOUT = {"router": 5.0, "gateway": 10.0, "server": 5.0}  # seconds from SIGTERM to SIGKILL
STOP_ORDER = ("router", "gateway", "server")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ClusterSpec(NamedTuple):
    """The cluster to start. `etcd`, `redis`, `kafka`: addresses of running servers; empty: start one."""

    run_dir: Path
    gateways: int
    routers: int
    etcd: list[str]
    redis: str
    user: settings.TomlTable  # the user's configuration
    kafka: str = ""
    bus: str = "redis"  # or "kafka"
    delivery: str = "routed"  # or "broadcast"
    is_free: Callable[[int], bool] = ports.is_free  # may a service have this port? `ports.none_is_free`: random ones


class SupervisedProcess(NamedTuple):
    """A running process of the cluster. `entry`: its part of cluster.json; None for a server."""

    kind: str
    child: ChildProcess
    entry: GatewayEntry | RouterEntry | None = None


class Supervisor:
    """Runs one cluster, from the start of its first server to the exit of its last process."""

    def __init__(
        self, spec: ClusterSpec, report_progress: Callable[[str], None], on_ready: Callable[[ClusterFile], None]
    ) -> None:
        self._spec = spec
        self._report_progress = report_progress
        self._on_ready = on_ready
        self._processes: list[SupervisedProcess] = []
        self._etcd = spec.etcd
        self._redis = spec.redis
        self._kafka = spec.kafka
        self._signals = 0
        self._stop_requested = asyncio.Event()
        self._kill_requested = asyncio.Event()

    async def run(self) -> int:
        """Run until a signal (returns 0) or a server's death (1). CommandError: a process failed to start."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        try:
            if await self._run_unless_stopped(self._start()):
                return await self._watch()
            return 0
        finally:
            cluster_file.remove(self._spec.run_dir)
            await self._stop()
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Stop the cluster, as a signal does."""
        self._stop_requested.set()

    def _on_signal(self) -> None:
        self._signals += 1
        self._stop_requested.set()
        if self._signals > 1:
            self._kill_requested.set()

    async def _run_unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work`; cancel it when a signal comes first. Whether `work` finished."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop_requested.wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            await task
            return True
        task.cancel()
        await asyncio.wait([task])
        return False

    async def _start(self) -> None:
        spec = self._spec
        (spec.run_dir / "logs").mkdir(exist_ok=True)
        async with asyncio.TaskGroup() as tier:
            tier.create_task(self._start_etcd())
            tier.create_task(self._start_redis())
            tier.create_task(self._start_kafka())
        key = devtoken.ensure_key(spec.run_dir)
        bus = {"kind": spec.bus, "redis": self._redis} | ({"kafka": self._kafka} if self._kafka else {})
        table = settings.resolve(spec.user, etcd=self._etcd, bus=bus, delivery=spec.delivery, key_file=key)
        routers = ports.router_addresses(spec.user, spec.routers, spec.is_free)
        await self._start_tier("router", routers, settings.write(spec.run_dir, table))
        settings.set_page_router(table, self._cluster().routers[0].http)
        config = settings.write(spec.run_dir, table)
        gateways = ports.gateway_addresses(spec.user, spec.gateways, spec.is_free)
        await self._start_tier("gateway", gateways, config)
        cluster = self._cluster()
        cluster_file.write(spec.run_dir, cluster)
        self._on_ready(cluster)

    async def _start_tier(self, kind: str, processes: list[ports.Addresses], config: Path) -> None:
        async with asyncio.TaskGroup() as tier:
            for number, addresses in enumerate(processes, 1):
                command = services.service_command(kind, config, addresses)
                tier.create_task(self._start_service(kind, f"{kind}-{number}", command))

    async def _start_etcd(self) -> None:
        if self._etcd:
            self._report_progress(f"etcd       {','.join(self._etcd)}  (not started here)")
            return
        started = await servers.start_etcd(self._spec.run_dir)
        self._etcd = [started.address]
        self._add_server(started)

    async def _start_redis(self) -> None:
        if self._redis:
            await redis_check.check(self._redis)
            self._report_progress(f"redis      {redis_check.without_password(self._redis)}  (not started here)")
            return
        started = await servers.start_redis(self._spec.run_dir)
        self._redis = f"redis://{started.address}/0"
        self._add_server(started)

    async def _start_kafka(self) -> None:
        if self._kafka:
            self._report_progress(f"kafka      {self._kafka}  (not started here)")
        elif self._spec.bus == "kafka":
            started = await kafka.start_kafka(self._spec.run_dir)
            self._kafka = started.address
            self._add_server(started)

    def _add_server(self, started: servers.RunningServer) -> None:
        child = started.child
        self._processes.append(SupervisedProcess("server", child))
        self._report_progress(
            f"{child.name:10} {started.address}  pid {child.pid}, {started.origin}, {started.seconds:.1f} s"
        )

    async def _start_service(self, kind: str, name: str, command: list[str]) -> None:
        child, ready = await services.start(name, command, self._spec.run_dir / "logs")
        self._processes.append(SupervisedProcess(kind, child, ready.entry()))
        if isinstance(ready, services.GatewayReady):
            where = f"{ready.url}  node {ready.node_id}, node port {ready.node}, admin {ready.admin}"
        else:
            where = f"{ready.grpc}  http {ready.http}, admin {ready.admin}"
        self._report_progress(f"{child.name:10} {where}, pid {child.pid}")

    def _cluster(self) -> ClusterFile:
        by_name = sorted(self._processes, key=lambda process: (len(process.child.name), process.child.name))
        entries = [process.entry for process in by_name]
        return ClusterFile(
            etcd=self._etcd,
            redis=self._redis,
            kafka=self._kafka,
            gateways=[entry for entry in entries if isinstance(entry, GatewayEntry)],
            routers=[entry for entry in entries if isinstance(entry, RouterEntry)],
            servers={process.child.name: process.child.pid for process in self._processes if process.kind == "server"},
        )

    async def _watch(self) -> int:
        """Wait for a signal (returns 0) or a server's death (1). A dead gateway or router is only reported."""
        stopped = asyncio.ensure_future(self._stop_requested.wait())
        running = {asyncio.ensure_future(process.child.wait_exited()): process for process in self._processes}
        try:
            while not stopped.done():
                done, _ = await asyncio.wait([stopped, *running], return_when=asyncio.FIRST_COMPLETED)
                for process in [running.pop(task) for task in done if task in running]:
                    self._processes.remove(process)
                    self._report_death(process)
                    if process.kind == "server":
                        return 1
                    cluster_file.write(self._spec.run_dir, self._cluster())
            return 0
        finally:
            for task in (stopped, *running):
                task.cancel()

    def _report_death(self, process: SupervisedProcess) -> None:
        child = process.child
        consequence = "stopping the rest" if process.kind == "server" else "the others go on"
        event = "died" if child.returncode else "was stopped"
        self._report_progress(
            f"{child.name} {event}: {exit_reason(child.returncode or 0)}; {consequence}. The end of {child.log}:"
        )
        for line in child.log_tail():
            self._report_progress(f"  {line}")

    async def _stop(self) -> None:
        for kind in STOP_ORDER:
            tier = [process.child for process in self._processes if process.kind == kind]
            await asyncio.gather(*(self._stop_one(child, STOP_TIMEOUT[kind]) for child in tier))
        self._processes.clear()

    async def _stop_one(self, child: ChildProcess, grace: float) -> None:
        stop = asyncio.ensure_future(child.stop(grace))
        kill_requested = asyncio.ensure_future(self._kill_requested.wait())
        await asyncio.wait([stop, kill_requested], return_when=asyncio.FIRST_COMPLETED)
        kill_requested.cancel()
        if not stop.done():
            await child.kill()
        if not await stop:
            self._report_progress(f"{child.name} (pid {child.pid}) did not stop within {grace:.0f} s and was killed")


def run_cluster(
    spec: ClusterSpec,
    report_progress: Callable[[str], None],
    on_ready: Callable[[ClusterFile], None],
    stop_when: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> int:
    """Run `homing up`'s cluster; returns the exit status. Raises a task group's error without the group.

    `stop_when` receives a function that stops the cluster, and is entered in the event loop for as long as it runs.
    CommandError: a process failed to start. OSError: the progress cannot be printed.
    """

    async def main() -> int:
        supervisor = Supervisor(spec, report_progress, on_ready)
        with stop_when(supervisor.stop):
            return await supervisor.run()

    try:
        return asyncio.run(main())
    except BaseExceptionGroup as group:
        first = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, CommandError | OSError):
            raise first from None
        raise
