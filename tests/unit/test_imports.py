"""The import rules of the architecture, read from the source with `ast`: nothing is imported to check them.

A module is core unless it is named below as a shell, so a new file must either keep core's rules or be declared.
"""

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("gateway", "router", "registry", "runtime", "observability")
GENERATED = ("homing.v1", "homing.internal.v1", "registry.etcd.v1")
FLOORS = (("bench",), ("gateway", "router"), ("registry",), ("runtime",), ("observability",))
"""From the top down. A module imports its own folder and the floors below; the two services on one floor never meet."""

GATEWAY_FLOORS = (
    ("__main__",),
    ("process",),
    ("composition",),
    ("adapters", "draining"),
    ("access",),
    ("config",),
    ("nodes",),
    ("delivery",),
    ("authentication", "socketio"),
    ("readiness",),
    ("admission", "client_commands"),
    ("session_commands",),
    ("back_pressure", "lifecycle", "membership", "token_expiry"),
    ("engineio",),
    ("door",),
    ("tls",),
    ("registration",),
    ("events", "views"),
    ("sessions",),
    ("identity",),
    ("wire",),
    ("close_codes", "outcome"),
)
"""The rooms of the gateway from the top down: a room imports those below it, and none beside it."""

FOLDERS = frozenset(name for rooms in FLOORS for name in rooms)
COMPOSITION_ROOTS = {"gateway.adapters", "router.adapters"}
CONFIGURATION = {"gateway.config", "router.config"}  # an adapter's settings stand beside it; a section names them
ADAPTERS = (
    "runtime.bus.kafka_topic",
    "runtime.bus.redis_channel",
    "runtime.events.kafka_topic",
    "runtime.events.redis_stream",
    "gateway.views.redis_views",
    "registry.etcd",
    "router.commands.consumer",
)

# What a core module may not have even from the standard library: I/O, a clock, a scheduler, telemetry.
NOT_FOR_CORE = {"asyncio", "logging", "os", "random", "selectors", "signal", "socket", "ssl", "subprocess", "threading"}
NOT_FOR_CORE |= {"time", "urllib.request", "http.client", "multiprocessing", "concurrent", "secrets"}
CORE_LIBRARIES = {"hpack", "msgspec"}

PORTS = {"gateway.door.ports", "registry.ports", "router.hop.port"}
"""Contracts whose signatures name asyncio's own types; they run nothing, so core may import them."""

SHELLS = {
    "gateway.__main__",
    "gateway.access",
    "gateway.adapters",
    "gateway.admission",
    "gateway.authentication",
    "gateway.back_pressure",
    "gateway.client_commands",
    "gateway.composition",
    "gateway.config",
    "gateway.delivery.bus_endpoint",
    "gateway.delivery.node_requests",
    "gateway.delivery.node_server",
    "gateway.delivery.push_writer",
    "gateway.delivery.router_endpoint",
    "gateway.delivery.traces",
    "gateway.door.echo",
    "gateway.door.handshake",
    "gateway.door.proxied",
    "gateway.door.listener",
    "gateway.door.pages",
    "gateway.door.socket_options",
    "gateway.door.websocket_endpoint",
    "gateway.draining",
    "runtime.events.buffered",
    "runtime.events.kafka_topic",
    "runtime.events.redis_stream",
    "gateway.events.traces",
    "gateway.identity.keys",
    "gateway.identity.tokens",
    "gateway.engineio.endpoint",
    "gateway.engineio.exchange",
    "gateway.engineio.owners",
    "gateway.engineio.polls",
    "gateway.engineio.transport",
    "gateway.engineio.websocket",
    "gateway.lifecycle",
    "gateway.nodes.acknowledgements",
    "gateway.nodes.channels",
    "gateway.nodes.decoding",
    "gateway.nodes.hand_over",
    "gateway.nodes.owners",
    "gateway.nodes.relay_server",
    "gateway.nodes.relays",
    "gateway.nodes.take_over",
    "gateway.membership",
    "gateway.process",
    "gateway.readiness",
    "gateway.registration.barrier",
    "gateway.registration.lease_gate",
    "gateway.registration.loop",
    "gateway.registration.session_registration",
    "gateway.sessions.heartbeat",
    "gateway.sessions.pacing",
    "gateway.sessions.timer",
    "gateway.session_commands",
    "gateway.socketio.admission",
    "gateway.socketio.client",
    "gateway.socketio.services",
    "gateway.tls.certificates",
    "gateway.tls.contexts",
    "gateway.tls.records",
    "gateway.tls.rotation",
    "gateway.tls.transport",
    "gateway.token_expiry",
    "gateway.views.redis_views",
    "gateway.wire.websocket",
    "observability.export_thread",
    "observability.exporter_log",
    "observability.metrics",
    "observability.readable_spans",
    "observability.span_export",
    "observability.tracing",
    "registry.etcd",
    "registry.catch_up",
    "registry.feed",
    "registry.floors",
    "registry.guard",
    "registry.membership",
    "registry.node_directory",
    "registry.memory",
    "registry.pending",
    "registry.registrar",
    "registry.registration",
    "registry.retry",
    "registry.sweeper",
    "router.__main__",
    "router.adapters",
    "router.api.calls",
    "router.api.grpc_api",
    "router.api.grpc_calls",
    "router.api.health",
    "router.api.http_api",
    "router.api.json_mapping",
    "router.api.push_stream",
    "router.api.reflection",
    "router.backlog",
    "router.commands.consumer",
    "router.commands.dead_letters",
    "router.commands.dispatch",
    "router.config",
    "router.delivery.broadcast",
    "router.delivery.routed",
    "router.delivery.trace",
    "router.hop.fencing",
    "router.hop.fleet",
    "router.hop.memory",
    "router.hop.stream",
    "router.listeners",
    "router.node_requests",
    "router.locate",
    "router.lost_sessions",
    "router.presence",
    "router.process",
    "router.push_handler",
    "router.readiness",
    "router.watch",
    "runtime.bus.kafka_client",
    "runtime.bus.kafka_topic",
    "runtime.bus.memory",
    "runtime.bus.probe",
    "runtime.bus.redis_channel",
    "runtime.bus.redis_client",
    "runtime.grpc_wire.call",
    "runtime.grpc_wire.channel",
    "runtime.grpc_wire.client",
    "runtime.grpc_wire.http2_protocol",
    "runtime.grpc_wire.server",
    "runtime.grpc_wire.shared_secret",
    "runtime.grpc_wire.write_batcher",
    "runtime.process.addresses",
    "runtime.process.admin",
    "runtime.process.background_tasks",
    "runtime.process.browser_requests",
    "runtime.process.garbage",
    "runtime.process.http_listener",
    "runtime.process.lifecycle",
    "runtime.process.listening",
    "runtime.process.worker_service",
    "runtime.process.workers",
    "runtime.process.workers_admin",
    "runtime.process.logs",
    "runtime.process.pauses",
    "runtime.process.ready",
    "runtime.process.request_bodies",
    "runtime.process.task_group",
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


@functools.cache
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


def floor(name: str, floors: tuple[tuple[str, ...], ...]) -> int:
    """The number of the floor on which a room is, from the top; a room that is on none is a fault of the table."""
    return next(number for number, rooms in enumerate(floors) if name in rooms)


class ImportsRunDown(Rule):
    """Between the top-level folders; generated code is below them all."""

    def allows(self, module: str, found: Import) -> bool:
        here, there = module.partition(".")[0], found.module.partition(".")[0]
        if here == there or there not in FOLDERS or within(found.module, *GENERATED):
            return True
        return floor(here, FLOORS) < floor(there, FLOORS)


class GatewaysRoomsRunDown(Rule):
    """Between the rooms of the gateway."""

    def allows(self, module: str, found: Import) -> bool:
        if not within(module, "gateway") or not found.module.startswith("gateway.") or found.typing_only:
            return True
        here, there = module.split(".")[1], found.module.split(".")[1]
        return here == there or floor(here, GATEWAY_FLOORS) < floor(there, GATEWAY_FLOORS)


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
    """homing.command.services imports them by name when it runs one, and verbs of `bench` come by entry points."""

    def allows(self, module: str, found: Import) -> bool:
        return not within(found.module, "bench", *SERVICES)


def circles(modules: dict[str, Path]) -> list[list[str]]:
    """Groups of modules that import each other, also by way of others; a lazy or a typing import counts too."""
    below = {
        module: {found.module for found in imports(path) if found.module in modules} - {module}
        for module, path in modules.items()
    }
    while leaves := [module for module, needed in below.items() if not needed & below.keys()]:
        for module in leaves:
            del below[module]
    while tops := [module for module in below if not any(module in needed for needed in below.values())]:
        for module in tops:
            del below[module]
    return [sorted(below)] if below else []


@pytest.mark.parametrize(
    "rule",
    [
        NeitherServiceImportsTheOther,
        ImportsRunDown,
        GatewaysRoomsRunDown,
        OfHomingOnlyGeneratedCode,
        OnlyRootsChooseAdapters,
    ],
)
def test_services_keep_the_rule(rule):
    assert offences(sources(*SERVICES), rule) == []


def test_no_modules_import_each_other():
    assert circles(sources("homing", "bench", *SERVICES)) == []


def test_a_circle_is_found(tmp_path):
    texts = {"a": "import b", "b": "import c", "c": "def f():\n    import a", "d": "import a"}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert circles({name: tmp_path / f"{name}.py" for name in texts}) == [["a", "b", "c"]]


def test_bench_keeps_the_rules_of_the_floors():
    assert offences(sources("bench"), ImportsRunDown) == []


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
        (NeitherServiceImportsTheOther, "router.x", "def f():\n    import gateway.close_codes"),
        (ImportsRunDown, "registry.x", "from gateway import close_codes"),
        (ImportsRunDown, "observability.x", "from runtime.process.background_tasks import BackgroundTasks"),
        (ImportsRunDown, "gateway.x", "import bench.process"),
        (GatewaysRoomsRunDown, "gateway.wire.x", "from gateway.sessions.index import Index"),
        (OfHomingOnlyGeneratedCode, "gateway.x", "from homing.cluster import file"),
        (OnlyRootsChooseAdapters, "router.x", "from registry.etcd.store import EtcdStore"),
        (CoreIsPure, "registry.x", "import time"),
        (CoreIsPure, "registry.x", "from time import monotonic"),
        (CoreIsPure, "registry.x", "import grpc"),
        (TheCommandLeavesServicesAlone, "homing.x", "import registry.ids"),
    ],
)
def test_the_rules_can_be_broken(rule, module, text):
    found = list(_walk(ast.parse(text), lazy=False, typing_only=False))
    assert not all(rule().allows(module, one) for one in found)
