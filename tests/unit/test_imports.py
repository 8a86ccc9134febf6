"""The import rules of the architecture, read from the source with `ast`: nothing is imported to check them.

A module is core unless it is named below as a shell, so a new file must either keep core's rules or be declared.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("bus", "gateway", "router", "registry", "observability", "streams")
GENERATED = ("homing.v1", "homing.internal.v1", "homing.etcd.v1")
COMPOSITION_ROOTS = {"gateway.__main__", "router.__main__"}
CONFIGURATION = {"gateway.config", "router.config"}  # an adapter's settings stand beside it; a section names them
ADAPTERS = (
    "bus.kafka_topic",
    "bus.redis_channel",
    "gateway.events.kafka_topic",
    "gateway.events.redis_stream",
    "gateway.views.redis_views",
    "registry.etcd",
    "router.commands.consumer",
)

# What a core module may not have even from the standard library: I/O, a clock, a scheduler, telemetry.
NOT_FOR_CORE = {"asyncio", "logging", "os", "random", "selectors", "signal", "socket", "ssl", "subprocess", "threading"}
NOT_FOR_CORE |= {"time", "urllib.request", "http.client", "multiprocessing", "concurrent", "secrets"}
CORE_LIBRARIES = {"hpack", "msgspec"}

PORTS = {"registry.ports", "router.hop.port"}
"""Contracts whose signatures name asyncio.Future; they run nothing, so core may import them."""

SHELLS = {
    "bus.kafka_client",
    "bus.kafka_topic",
    "bus.memory",
    "bus.redis_channel",
    "gateway.__main__",
    "gateway.config",
    "gateway.delivery.asks",
    "gateway.delivery.bus_port",
    "gateway.delivery.node_server",
    "gateway.delivery.nodeport",
    "gateway.delivery.reach",
    "gateway.delivery.traces",
    "gateway.door.door",
    "gateway.door.pages",
    "gateway.events.buffered",
    "gateway.events.kafka_topic",
    "gateway.events.redis_stream",
    "gateway.events.traces",
    "gateway.heartbeat",
    "gateway.identity.tokens",
    "gateway.lives",
    "gateway.registering",
    "gateway.service",
    "observability.tasks",
    "gateway.timer",
    "gateway.views.redis_views",
    "gateway.wire.websocket",
    "observability.admin",
    "observability.logs",
    "observability.metrics",
    "observability.otlp",
    "observability.running",
    "observability.tracing",
    "registry.etcd",
    "registry.feed",
    "registry.floors",
    "registry.guard",
    "registry.membership",
    "registry.memory",
    "registry.patience",
    "registry.pending",
    "registry.registrar",
    "registry.sweeper",
    "registry.together",
    "router.__main__",
    "router.api.calls",
    "router.api.grpc_api",
    "router.commands.carrying",
    "router.commands.consumer",
    "router.commands.dead",
    "router.config",
    "router.delivery.awaiting",
    "router.delivery.broadcast",
    "router.delivery.routed",
    "router.delivery.trace",
    "router.hop.fencing",
    "router.hop.fleet",
    "router.hop.memory",
    "router.hop.stream",
    "router.api.http_api",
    "router.api.json_mapping",
    "router.api.grpc_calls",
    "router.api.health",
    "router.api.push_stream",
    "router.api.reflection",
    "router.asking",
    "streams.call",
    "streams.channel",
    "streams.client",
    "streams.server",
    "streams.turn",
    "router.presence",
    "router.watching",
}
"""Modules that wait, write, read a clock or speak to a server. Everything else below the services is core."""


class Import(NamedTuple):
    module: str
    line: int
    lazy: bool  # inside a function
    typing_only: bool  # under `if TYPE_CHECKING`


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(*folders: str) -> dict[str, Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {module_name(path): path for path in found if "_pb2" not in path.name}


def imports(path: Path) -> list[Import]:
    return list(_walk(ast.parse(path.read_text()), lazy=False, typing_only=False))


def _walk(node: ast.AST, lazy: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, lazy, typing_only) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"relative import in line {child.lineno}"
            yield Import(child.module or "", child.lineno, lazy, typing_only)
            # `from gateway import config` names a module, not only a package
            yield from (Import(f"{child.module}.{a.name}", child.lineno, lazy, typing_only) for a in child.names)
        else:
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            guarded = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            yield from _walk(child, inside, typing_only or guarded)


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def offences(modules: dict[str, Path], allowed: "type[Rule]") -> list[str]:
    rule = allowed()
    return [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.module}"
        for module, path in modules.items()
        for found in imports(path)
        if not rule.allows(module, found)
    ]


class Rule:
    def allows(self, module: str, found: Import) -> bool:
        raise NotImplementedError


class NeitherServiceImportsTheOther(Rule):
    def allows(self, module: str, found: Import) -> bool:
        if within(module, "gateway"):
            return not within(found.module, "router")
        return not (within(module, "router") and within(found.module, "gateway"))


class TheRegistryIsBelowTheServices(Rule):
    def allows(self, module: str, found: Import) -> bool:
        below = within(module, "registry", "observability", "streams")
        return not (below and within(found.module, "gateway", "router"))


class OfHomingOnlyGeneratedCode(Rule):
    def allows(self, module: str, found: Import) -> bool:
        if not within(found.module, "homing"):
            return True
        above_generated = any(package.startswith(found.module) for package in GENERATED)  # `from homing.v1 import x`
        return within(found.module, *GENERATED) or above_generated or found.module == "homing.__version__"


class OnlyRootsChooseAdapters(Rule):
    def allows(self, module: str, found: Import) -> bool:
        if module in COMPOSITION_ROOTS | CONFIGURATION or found.typing_only:
            return True
        return all(within(module, adapter) or not within(found.module, adapter) for adapter in ADAPTERS)


class CoreIsPure(Rule):
    def allows(self, module: str, found: Import) -> bool:
        if found.typing_only:
            return True
        if within(found.module, *NOT_FOR_CORE):
            return False
        if within(found.module, *GENERATED) or any(package.startswith(found.module) for package in GENERATED):
            return True
        top = found.module.partition(".")[0]
        if top in SERVICES:
            return not any(within(found.module, shell) for shell in SHELLS)
        return top in sys.stdlib_module_names or top in CORE_LIBRARIES


class TheCommandLeavesServicesAlone(Rule):
    """homing.command.services imports them by name when it runs one; nobody imports them with a statement.

    But the load generator's pusher, a process of the services' side like the services themselves: it speaks gRPC with
    their transport, and imports it only once it runs.
    """

    def allows(self, module: str, found: Import) -> bool:
        if module == "homing.bench.load.pusher" and within(found.module, "streams"):
            return found.lazy or found.typing_only
        return not within(found.module, *SERVICES)


@pytest.mark.parametrize(
    "rule",
    [
        NeitherServiceImportsTheOther,
        TheRegistryIsBelowTheServices,
        OfHomingOnlyGeneratedCode,
        OnlyRootsChooseAdapters,
    ],
)
def test_services_keep_the_rule(rule):
    assert offences(sources(*SERVICES), rule) == []


def test_homing_imports_no_service():
    assert offences(sources("homing"), TheCommandLeavesServicesAlone) == []


def test_core_is_pure():
    core = {module: path for module, path in sources(*SERVICES).items() if not within(module, *SHELLS, *PORTS)}
    assert len(core) > 20
    assert offences(core, CoreIsPure) == []


def test_every_declared_shell_exists():
    assert {module for module in SHELLS | PORTS if module not in sources(*SERVICES)} == set()


@pytest.mark.parametrize(
    ("rule", "module", "text"),
    [
        (NeitherServiceImportsTheOther, "gateway.x", "from router.push import Push"),
        (NeitherServiceImportsTheOther, "router.x", "def f():\n    import gateway.closing"),
        (TheRegistryIsBelowTheServices, "registry.x", "from gateway import closing"),
        (OfHomingOnlyGeneratedCode, "gateway.x", "from homing.cluster import file"),
        (OnlyRootsChooseAdapters, "router.x", "from registry.etcd.store import EtcdStore"),
        (CoreIsPure, "registry.x", "import time"),
        (CoreIsPure, "registry.x", "from time import monotonic"),
        (CoreIsPure, "registry.x", "import grpc"),
        (TheCommandLeavesServicesAlone, "homing.x", "import registry.ids"),
        (TheCommandLeavesServicesAlone, "homing.bench.load.pusher", "from streams.client import dial"),
        (TheCommandLeavesServicesAlone, "homing.bench.load.pusher", "def f():\n    import router.push"),
    ],
)
def test_the_rules_can_be_broken(rule, module, text):
    found = list(_walk(ast.parse(text), lazy=False, typing_only=False))
    assert not all(rule().allows(module, one) for one in found)
