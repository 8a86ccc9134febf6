"""`python -m router`, `homing router`: the command line of one router."""

import os
import sys
from pathlib import Path

import click
import msgspec

from observability.destination import DestinationError
from registry.store import StoreError
from router.config import RouterConfig
from router.process import RouterProcess
from runtime.process import logs
from runtime.process.configuration import ConfigurationError, load
from runtime.process.lifecycle import HELP, StartupError, StopSignal, run, run_command
from runtime.process.worker_service import run_workers
from runtime.process.workers import Worker, processors


@click.command(name="router", context_settings=HELP)
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file.")
@click.option("--grpc", help="The API over gRPC, host:port; port 0 takes a free one.")
@click.option("--http", help="The API over HTTP/JSON, host:port.")
@click.option("--admin", help="Health, readiness and metrics, host:port.")
@click.option("--workers", type=int, help="Processes behind the API's ports, each a router; 0: one for each processor.")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting.")
def command(file: Path | None, assignments: tuple[str, ...], **flags: str | int | None) -> int:
    """Run one router until SIGTERM or Ctrl-C.

    \b
    Example:
      homing router --config .homing/homing.toml --grpc 127.0.0.1:0
    """
    named = [f"router.{name}={value}" for name, value in flags.items() if value is not None]
    try:
        settings = load(RouterConfig, file, os.environ, [*assignments, *named])
    except ConfigurationError as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log.level, service="router")
    section = settings.router
    count = section.workers or processors()
    if count == 1:
        return _serve(settings)
    shared, own = {"grpc": section.grpc, "http": section.http}, {"admin": section.admin}

    def serve(worker: Worker) -> int:
        return _serve(_of_worker(settings, worker), worker=True)

    return run_workers(count, "router", shared, own, section.hosts, serve)


def _of_worker(settings: RouterConfig, worker: Worker) -> RouterConfig:
    """The settings of one of several workers: each is a router of its own."""
    section = settings.router
    name = f"{section.id}-{worker.number}" if section.id else ""
    return msgspec.structs.replace(settings, router=msgspec.structs.replace(section, id=name, **worker.addresses))


def _serve(settings: RouterConfig, worker: bool = False) -> int:
    async def main(stop: StopSignal) -> None:
        try:
            await RouterProcess(settings).run(stop)
        except* StartupError as error:
            raise error.exceptions[0] from None
        except* StoreError as error:
            raise StartupError(f"registry.etcd: {error.exceptions[0]}") from None
        except* DestinationError as error:
            raise StartupError(str(error.exceptions[0])) from None

    return run(main, worker)


def main(arguments: list[str]) -> int:
    """The command line; the result is the exit code."""
    return run_command(command, "homing router", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
