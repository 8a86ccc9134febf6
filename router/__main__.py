"""The router's composition root: reads the configuration, chooses the adapters, starts and stops in order."""

import asyncio
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from observability import names, tracing
from observability.counters import Counters, counters
from observability.metrics import Exposition
from registry.etcd.store import EtcdStore
from registry.feed import StoreRouteFeed
from registry.model import Incarnation, Node
from registry.store import StoreError
from registry.sweeper import Sweeper
from router.api.calls import Calls
from router.api.grpc_api import GrpcApi
from router.api.http_api import HttpApi
from router.commands.dispatch import CommandDispatcher
from router.config import RouterConfig
from router.delivery.broadcast import Broadcast
from router.delivery.port import Delivery
from router.delivery.routed import Routed
from router.hop.fencing import FencingJudge
from router.hop.fleet import Fleet
from router.hop.port import Hop, OnChange
from router.hop.stream import StreamHop
from runtime.bus.port import BusAway, Publisher
from runtime.process import logs
from runtime.process.admin import Admin
from runtime.process.configuration import ConfigurationError, load
from runtime.process.running import CannotStart, Stop, cannot_listen, run, run_command, say_ready, split_address

if TYPE_CHECKING:
    from router.commands.consumer import KafkaCommands

log = logging.getLogger("router")

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
GRACE = 5.0  # seconds for calls under way at a stop


class RouterProcess:
    """One router, put together."""

    def __init__(self, settings: RouterConfig) -> None:
        self._settings = settings
        self._id = settings.router.id or f"{os.uname().nodename[:40]}-{secrets.token_hex(4)}"
        # What streams and broadcasts call this process: a router that comes back under its id is another one.
        self._name = f"{self._id}.{secrets.token_hex(4)}" if settings.router.id else self._id
        self._counters = counters(names.ROUTER)
        self._ready = False
        self._store = EtcdStore(settings.registry.endpoints())
        self._feed = StoreRouteFeed(self._store, settings.registry)
        self._fencing = FencingJudge(self._feed)
        self._fleet = Fleet(self._feed, self._make_hop)
        self._sweeper = Sweeper(self._store, settings.registry, self._id, self._feed.table)
        tracer, self._spans = tracing.set_up(
            settings.trace,
            self._counters,
            service_name="homing-router",
            service_namespace=settings.registry.cluster,
            service_instance_id=self._id,
        )
        self._publisher = _publisher(settings) if settings.delivery.mode == "broadcast" else None
        self._delivery = self._make_delivery(tracer)
        calls = Calls(settings.router.api, self._delivery, self._feed, self._fleet, tracer)
        self._commands = _commands(settings, calls, self._counters) if settings.bus.kind == "kafka" else None
        self._api = GrpcApi(calls)
        gauges = {
            "sessions": lambda: float(len(self._feed.table)),
            "nodes": lambda: float(len(self._feed.table.incarnations())),
            "sweeps": lambda: float(self._sweeper.leads),
        }
        self._admin = Admin(self._why_not_ready, Exposition("homing_router", names.ROUTER, self._counters, gauges))
        HttpApi(calls, self._admin)

    def _make_delivery(self, tracer: tracing.Tracer) -> Delivery:
        if self._publisher is None:
            return Routed(self._feed, self._fleet, self._counters, tracer)
        hop = self._settings.router.hop
        return Broadcast(self._name, self._publisher, self._feed, self._fleet, hop, self._counters, tracer)

    def _make_hop(self, incarnation: Incarnation, node: Node, on_change: OnChange) -> Hop:
        def batch() -> int:
            return self._feed.table.batch(incarnation)

        settings = self._settings.router.hop
        return StreamHop(self._name, incarnation, node.port, settings, batch, self._fencing.judge, on_change)

    def _why_not_ready(self) -> str:
        return "" if self._ready else "starting, or stopping"

    async def run(self, stop: Stop) -> None:
        """From the first port to the last call."""
        try:
            await self._serve(stop)
        finally:
            await self._close()

    async def _serve(self, stop: Stop) -> None:
        grpc_address, http_address = await self._listen()
        try:
            if self._publisher is not None:
                await self._publisher.open()
            if self._commands is not None:
                await self._commands.open()
        except BusAway as error:
            raise CannotStart(str(error)) from None
        async with asyncio.TaskGroup() as group:
            keeping = [group.create_task(self._feed.run())]
            await self._wait_synced()
            keeping += [group.create_task(self._fleet.run()), group.create_task(self._sweeper.run())]
            await asyncio.sleep(0)  # the fleet dials what the table knows
            await self._open()
            hearing = [group.create_task(self._commands.run())] if self._commands is not None else []
            say_ready(ready="router", id=self._id, grpc=grpc_address, http=http_address, pid=os.getpid())
            await stop.wait()
            self._ready = False
            for task in hearing:
                task.cancel()
            await asyncio.gather(self._api.close(GRACE), self._admin.close(), self._close_commands())
            for task in keeping:
                task.cancel()

    async def _close_commands(self) -> None:
        if self._commands is not None:
            await self._commands.close()

    async def _close(self) -> None:
        await self._close_commands()
        await self._api.close(0)
        await self._delivery.close()
        if self._publisher is not None:
            await self._publisher.close()
        await self._fencing.close()
        await self._admin.close()
        await self._store.close()
        if self._spans is not None:
            await self._spans.close()

    async def _listen(self) -> tuple[str, str]:
        settings = self._settings.router
        for field, address in (("grpc", settings.grpc), ("http", settings.http)):
            if split_address(address, f"router.{field}")[0] not in LOOPBACK:
                why = "is not loopback, and the API has no rights yet: anyone could push"
                raise CannotStart(f"router.{field}: {address} {why}")
        try:
            grpc_address = await self._api.listen(settings.grpc)
        except OSError as error:
            raise cannot_listen("router.grpc", settings.grpc, error) from None
        try:
            http_address = await self._admin.listen(*split_address(settings.http, "router.http"))
        except OSError as error:
            raise cannot_listen("router.http", settings.http, error) from None
        log.info("the API is open to everyone on this machine: it has no rights yet")
        return grpc_address, http_address

    async def _wait_synced(self) -> None:
        limit = self._settings.registry.start_limit
        try:
            async with asyncio.timeout(limit):
                await self._feed.wait_synced()
        except TimeoutError:
            where = ", ".join(self._settings.registry.endpoints().endpoints)
            raise CannotStart(f"registry.etcd: {where} has not answered for {limit:.0f} s; is etcd running?") from None

    async def _open(self) -> None:
        """Ready: the table has reached what was registered before the streams to all living nodes were open."""
        await self._fleet.wait_opened()
        await self._feed.wait_caught_up()
        self._ready = True
        self._api.set_ready(True)


def _publisher(settings: RouterConfig) -> Publisher:
    """Where pushes go in broadcast mode."""
    if settings.bus.kind == "redis":
        from runtime.bus.redis_channel import RedisPublisher  # routers need redis-py for nothing else

        return RedisPublisher(settings.bus, settings.delivery.channel)
    from runtime.bus.kafka_topic import KafkaPublisher  # with aiokafka, which costs 20 MiB

    return KafkaPublisher(settings.bus, settings.delivery.channel)


def _commands(settings: RouterConfig, calls: Calls, counted: Counters) -> "KafkaCommands":
    """Calls that come over Kafka."""
    from router.commands.consumer import KafkaCommands  # with aiokafka, which costs 20 MiB

    return KafkaCommands(settings.bus, settings.commands, CommandDispatcher(calls), counted)


@click.command(name="router")
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file.")
@click.option("--grpc", help="Where callers connect, host:port; port 0 takes a free one.")
@click.option("--http", help="Health, readiness and metrics, host:port.")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting.")
def command(file: Path | None, assignments: tuple[str, ...], **flags: str | None) -> int:
    """Run one router until SIGTERM or Ctrl-C.

    Example: homing router --config .homing/homing.toml --grpc 127.0.0.1:0
    """
    named = [f"router.{name}={value}" for name, value in flags.items() if value is not None]
    try:
        settings = load(RouterConfig, file, os.environ, [*assignments, *named])
    except ConfigurationError as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    logs.set_up(settings.log.level, service="router")

    async def main(stop: Stop) -> None:
        try:
            await RouterProcess(settings).run(stop)
        except* CannotStart as error:
            raise error.exceptions[0] from None
        except* StoreError as error:
            raise CannotStart(f"registry.etcd: {error.exceptions[0]}") from None

    return run(main)


def main(arguments: list[str]) -> int:
    """The command line; the answer is the exit code."""
    return run_command(command, "homing router", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
