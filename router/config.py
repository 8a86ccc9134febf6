"""Shell: a router's configuration: small frozen structs, a comment for each field. Durations: seconds. Sizes: bytes."""

import msgspec

from observability.tracing import TraceSettings
from registry.etcd.section import RegistrySection
from router.api.settings import ApiSettings
from router.commands.settings import CommandSettings
from router.hop.stream import HopSettings
from runtime.bus.settings import BusSection, DeliverySection
from runtime.events.port import EventSettings
from runtime.process.logs import LogSection
from runtime.process.setting_types import Workers


class RouterSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router]`: the listeners, and bounds. Each address is host:port; port 0 takes a free one."""

    grpc: str = "127.0.0.1:8500"  # Address of the API over gRPC. Loopback only, until callers have rights.
    http: str = "127.0.0.1:8501"  # Address of the API over HTTP/JSON. Loopback only, until callers have rights.
    admin: str = "127.0.0.1:8502"  # Address of /livez, /readyz and /metrics. Not for the public.
    # Processes behind the API's ports, each a router of its own with a free port for administration; `admin` then
    # speaks for all. 0: one for each processor.
    workers: Workers = 1
    # Names of the HTTP and admin listeners in Host headers, beside addresses and localhost.
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()  # Web pages that may call the API over HTTP: scheme://host[:port].
    id: str = ""  # The router's id, unique in the cluster; "": the host name and a random part.
    hop: HopSettings = HopSettings()
    api: ApiSettings = ApiSettings()


class RouterConfig(msgspec.Struct, frozen=True):
    """The sections that a router reads."""

    registry: RegistrySection = RegistrySection()
    router: RouterSection = RouterSection()
    bus: BusSection = BusSection()
    delivery: DeliverySection = DeliverySection()
    events: EventSettings = EventSettings()
    commands: CommandSettings = CommandSettings()
    log: LogSection = LogSection()
    trace: TraceSettings = TraceSettings()
