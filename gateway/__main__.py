"""`python -m gateway`, `homing gateway`: the command line of one gateway."""

import os
import secrets
import sys
from pathlib import Path

import click
import msgspec

from gateway import config
from gateway.access import Access, read_access
from gateway.process import GatewayProcess
from observability.destination import DestinationError
from registry.ports import RegistryError
from registry.store import StoreError
from runtime.process import logs
from runtime.process.configuration import ConfigurationError, load
from runtime.process.lifecycle import HELP, StartupError, StopSignal, run, run_command
from runtime.process.worker_service import run_workers
from runtime.process.workers import Worker, processors


@click.command(name="gateway", context_settings=HELP)
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file.")
@click.option("--listen", help="Where clients connect, host:port; port 0 takes a free one.")
@click.option("--node-listen", help="Where routers connect, host:port.")
@click.option("--admin", help="Health, readiness and metrics, host:port.")
@click.option("--cert", "cert_file", type=click.Path(), help="PEM file of the certificate that clients are shown: TLS.")
@click.option("--key", "key_file", type=click.Path(), help="PEM file of its private key.")
@click.option("--node-id", help="This gateway's name; by default it has a random part.")
@click.option("--workers", type=int, help="Processes behind the one port, each a node; 0: one for each processor.")
@click.option("--dev", is_flag=True, help="Serve the page to try it, and tokens for anyone: loopback listeners only.")
@click.option("--dev-router", metavar="HOST:PORT", help="A router's HTTP address, for the page's calls.")
@click.option("--echo-path", metavar="PATH", help="A path that echoes to anyone, for test suites; not in production.")
@click.option("--max-segment", metavar="BYTES", help="Bytes of TCP's payload in one packet at most (TCP_MAXSEG).")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting.")
def command(file: Path | None, assignments: tuple[str, ...], dev: bool, **flags: str | int | None) -> int:
    """Run one gateway until SIGTERM or Ctrl-C.

    \b
    Example:
      homing gateway --config .homing/homing.toml --listen 127.0.0.1:0
    """
    named = [f"gateway.{_setting(name)}={value}" for name, value in flags.items() if value is not None]
    named += ["gateway.dev=true"] if dev else []
    try:
        settings = load(config.GatewayConfig, file, os.environ, [*assignments, *named])
        access = read_access(settings)
    except ConfigurationError as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log.level, service="gateway")
    section = settings.gateway
    count = section.workers or processors()
    if count == 1:
        return _serve(settings, access)
    shared, own = {"listen": section.listen}, {"node_listen": section.node_listen, "admin": section.admin}

    def serve(worker: Worker) -> int:
        return _serve(_of_worker(settings, worker), access, worker=True)

    return run_workers(count, "gateway", shared, own, section.hosts, serve)


def _of_worker(settings: config.GatewayConfig, worker: Worker) -> config.GatewayConfig:
    """The settings of one of several workers: each is a node of its own. Its name is new each time that it is started,
    since the lease of one that was killed holds the old name for some seconds."""
    section = settings.gateway
    name = f"{section.node_id}-{worker.number}-{secrets.token_hex(2)}" if section.node_id else ""
    mine = msgspec.structs.replace(section, node_id=name, **worker.addresses)
    return msgspec.structs.replace(settings, gateway=mine)


def _serve(settings: config.GatewayConfig, access: Access, worker: bool = False) -> int:
    async def main(stop: StopSignal) -> None:
        try:
            await GatewayProcess(settings, access).run(stop)
        except* StartupError as error:
            raise error.exceptions[0] from None
        except* (StoreError, RegistryError) as error:
            raise StartupError(f"registry: {error.exceptions[0]}") from None
        except* DestinationError as error:
            raise StartupError(str(error.exceptions[0])) from None

    return run(main, worker)


def _setting(flag: str) -> str:
    return f"tls.{flag}" if flag in ("cert_file", "key_file") else flag


def main(arguments: list[str]) -> int:
    """The command line; the answer is the exit code."""
    return run_command(command, "homing gateway", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
