"""`python -m router`, `homing router`: the command line of one router."""

import os
import sys
from pathlib import Path

import click

from observability.destination import DestinationError
from registry.store import StoreError
from router.config import RouterConfig
from router.process import RouterProcess
from runtime.process import logs
from runtime.process.configuration import ConfigurationError, load
from runtime.process.lifecycle import HELP, StartupError, StopSignal, run, run_command


@click.command(name="router", context_settings=HELP)
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file.")
@click.option("--grpc", help="The API over gRPC, host:port; port 0 takes a free one.")
@click.option("--http", help="The API over HTTP/JSON, host:port.")
@click.option("--admin", help="Health, readiness and metrics, host:port.")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting.")
def command(file: Path | None, assignments: tuple[str, ...], **flags: str | None) -> int:
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

    async def main(stop: StopSignal) -> None:
        try:
            await RouterProcess(settings).run(stop)
        except* StartupError as error:
            raise error.exceptions[0] from None
        except* StoreError as error:
            raise StartupError(f"registry.etcd: {error.exceptions[0]}") from None
        except* DestinationError as error:
            raise StartupError(str(error.exceptions[0])) from None

    return run(main)


def main(arguments: list[str]) -> int:
    """The command line; the result is the exit code."""
    return run_command(command, "homing router", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
