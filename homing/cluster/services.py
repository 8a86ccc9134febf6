"""A gateway or a router as a child of `up`: its command line, and the one line in which it says that it is ready."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from homing.cluster import file
from homing.cluster.process import Child, how_it_ended
from homing.cluster.settings import shifted
from homing.cluster.trouble import CommandError, ConfigurationMistake

READY_LIMIT = 60.0  # seconds; a service itself gives up on a silent etcd after 30
DECIDED = (
    "HOMING_REGISTRY__ETCD",
    "HOMING_BUS__KIND",
    "HOMING_BUS__REDIS",
    "HOMING_BUS__KAFKA",
    "HOMING_DELIVERY__MODE",
    "HOMING_GATEWAY__DEV_ROUTER",
    "HOMING_TRACE__OTLP",
)

CommandLine = Callable[[Path, dict[str, object], int], list[str]]
"""Makes the command of the i-th process of a kind: (configuration, what the user said for that kind, i)."""


class GatewayReady(msgspec.Struct, frozen=True, tag_field="ready", tag="gateway"):
    """What a gateway prints on stdout once clients can come."""

    node_id: str
    url: str
    pid: int
    node: str = ""
    admin: str = ""

    def entry(self) -> file.Gateway:
        return file.Gateway(self.node_id, self.url, self.pid)


class RouterReady(msgspec.Struct, frozen=True, tag_field="ready", tag="router"):
    """What a router prints on stdout once its table is complete."""

    grpc: str
    http: str
    pid: int

    def entry(self) -> file.Router:
        return file.Router(self.grpc, self.http, self.pid)


def python() -> list[str]:
    """This interpreter running `homing`; -P keeps the folder we stand in from shadowing it."""
    return [sys.executable, "-P", "-m", "homing"]


def gateway_command(config: Path, user: dict[str, object], index: int) -> list[str]:
    """The `index`-th gateway. Where the user named a port, the next gateways count up from it."""
    asked = {name: shifted(user.get(name), index) for name in ("listen", "node_listen", "admin")}
    command = [*python(), "gateway", "--config", str(config), "--listen", asked["listen"]]
    return [*command, "--node-listen", asked["node_listen"], "--admin", asked["admin"]]


def router_command(config: Path, user: dict[str, object], index: int) -> list[str]:
    """The `index`-th router."""
    grpc, http = shifted(user.get("grpc"), index), shifted(user.get("http"), index)
    return [*python(), "router", "--config", str(config), "--grpc", grpc, "--http", http]


async def start(name: str, command: Sequence[str], logs: Path) -> tuple[Child, GatewayReady | RouterReady]:
    """Start a service and wait for its ready line. Trouble: it ended first, or said nothing in time."""
    # The file that `up` wrote says these; a variable would overrule it.
    environment = {key: value for key, value in os.environ.items() if key not in DECIDED}
    child = await Child.start(name, command, logs / f"{name}.log", environment)
    try:
        async with asyncio.timeout(READY_LIMIT):
            return child, await _ready_line(child)
    except TimeoutError:
        await child.kill()
        raise _trouble(child, f"said nothing for {READY_LIMIT:.0f} s") from None
    except BaseException:
        await child.kill()
        raise


async def _ready_line(child: Child) -> GatewayReady | RouterReady:
    while line := await child.read_line():
        try:
            return msgspec.json.decode(line, type=GatewayReady | RouterReady)
        except msgspec.DecodeError:
            continue  # not the line that we wait for
    code = await child.wait_gone()
    raise _trouble(child, f"did not start: {how_it_ended(code)}", ConfigurationMistake if code == 2 else CommandError)


def _trouble(child: Child, what: str, kind: type[CommandError] = CommandError) -> CommandError:
    return kind("\n  ".join([f"{child.name} {what}; the end of {child.log}:", *child.last_lines()]))
