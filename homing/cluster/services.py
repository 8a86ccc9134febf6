"""A gateway or a router as a child process of `up`: its command line, and the ready line that it prints."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from homing.cluster.cluster_file import GatewayEntry, RouterEntry
from homing.cluster.errors import CommandError, ConfigurationMistake
from homing.cluster.ports import Addresses
from homing.cluster.process import ChildProcess, exit_reason

READY_TIMEOUT = 60.0  # seconds; a service itself gives up on etcd after 30
OVERRIDDEN_VARIABLES = (
    "HOMING_REGISTRY__ETCD",
    "HOMING_BUS__KIND",
    "HOMING_BUS__REDIS",
    "HOMING_BUS__KAFKA",
    "HOMING_DELIVERY__MODE",
    "HOMING_GATEWAY__DEV_ROUTER",
    "HOMING_TRACE__OTLP",
)


class GatewayReady(msgspec.Struct, frozen=True, tag_field="ready", tag="gateway"):
    """The line that a gateway prints on stdout when clients can connect."""

    node_id: str
    url: str
    pid: int
    node: str = ""
    admin: str = ""

    def entry(self) -> GatewayEntry:
        return GatewayEntry(self.node_id, self.url, self.pid)


class RouterReady(msgspec.Struct, frozen=True, tag_field="ready", tag="router"):
    """The line that a router prints on stdout when its route table is complete."""

    grpc: str
    http: str
    admin: str
    pid: int

    def entry(self) -> RouterEntry:
        return RouterEntry(self.grpc, self.http, self.admin, self.pid)


def homing_command() -> list[str]:
    """The command `homing` with this interpreter; -P keeps the working folder off the path."""
    return [sys.executable, "-P", "-m", "homing"]


def service_command(kind: str, config: Path, addresses: Addresses) -> list[str]:
    """The command line of a gateway or a router, with a flag for each of its listeners."""
    flags = [part for name, address in addresses.items() for part in (f"--{name.replace('_', '-')}", address)]
    return [*homing_command(), kind, "--config", str(config), *flags]


async def start(name: str, command: Sequence[str], logs: Path) -> tuple[ChildProcess, GatewayReady | RouterReady]:
    """Start a service and wait for its ready line. CommandError: the service exited first, or printed none in time."""
    # The file that `up` wrote has these settings; a variable would override the file.
    environment = {key: value for key, value in os.environ.items() if key not in OVERRIDDEN_VARIABLES}
    child = await ChildProcess.start(name, command, logs / f"{name}.log", environment)
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            return child, await _ready_line(child)
    except TimeoutError:
        await child.kill()
        raise _start_error(child, f"was not ready within {READY_TIMEOUT:.0f} s") from None
    except BaseException:
        await child.kill()
        raise


async def _ready_line(child: ChildProcess) -> GatewayReady | RouterReady:
    while line := await child.read_line():
        try:
            return msgspec.json.decode(line, type=GatewayReady | RouterReady)
        except msgspec.DecodeError:
            continue  # another line than the ready line
    status = await child.wait_exited()
    raise _start_error(
        child, f"did not start: {exit_reason(status)}", ConfigurationMistake if status == 2 else CommandError
    )


def _start_error(child: ChildProcess, what: str, kind: type[CommandError] = CommandError) -> CommandError:
    return kind("\n  ".join([f"{child.name} {what}; the end of {child.log}:", *child.log_tail()]))
