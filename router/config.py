"""A router's configuration: small frozen structs, a sentence a field. Durations are seconds, sizes are bytes."""

import msgspec

from observability.tracing import TraceSettings
from registry.etcd.section import RegistrySection
from router.api.settings import ApiSettings
from router.commands.settings import CommandSettings
from router.hop.stream import HopSettings
from runtime.bus.settings import BusSection, DeliverySection
from runtime.process.logs import LogSection


class RouterSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router]`: where it listens, and its bounds."""

    grpc: str = "127.0.0.1:8500"  # callers; loopback only until there are rights
    http: str = "127.0.0.1:8501"  # health, readiness, metrics
    id: str = ""  # "" = host name and a random part
    hop: HopSettings = HopSettings()
    api: ApiSettings = ApiSettings()


class RouterConfig(msgspec.Struct, frozen=True):
    """All that a router reads."""

    registry: RegistrySection = RegistrySection()
    router: RouterSection = RouterSection()
    bus: BusSection = BusSection()
    delivery: DeliverySection = DeliverySection()
    commands: CommandSettings = CommandSettings()
    log: LogSection = LogSection()
    trace: TraceSettings = TraceSettings()
