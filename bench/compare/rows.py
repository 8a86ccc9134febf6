"""One measured row, and the table of all of them."""

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One target, in one mode, over one bus, with so many gateways. CPU is in microseconds a delivered message.

    What the same processes use while nobody pushes is taken off, or more gateways would look dearer for being there;
    `idle_ms_per_s` says how much that is.
    """

    mode: str  # routed or broadcast
    bus: str  # redis or kafka
    gateways: int
    target: str  # unicast or file
    pushes: int
    expected: int  # messages at clients
    delivered: int
    handled_per_push: float  # by the gateways' own counters, all of them together
    amplification: float  # the same over the gateways that had receivers
    cpu_us_per_delivery: float  # routers and gateways
    router_us: float
    gateway_us: float
    server_us: dict[str, float]  # etcd, redis and kafka, each for itself
    idle_ms_per_s: float  # routers and gateways, of CPU
    p50_ms: float  # from the moment a push was due to its arrival
    p99_ms: float
    bus_bytes_per_push: float  # into the bus once and out of it to each gateway
    late: int  # pushes that the generator sent too late
    valid: bool
    why: str = ""  # it is not


HEAD = (
    f"{'mode':10}{'bus':7}{'gateways':>8}  {'target':8}{'handled':>8}{'amplif.':>9}{'CPU us':>9}{'p50 ms':>9}"
    f"{'p99 ms':>9}{'bus B':>9}  servers us"
)
LEGEND = (
    "handled: messages that all gateways together handled, a push, by their own counters. CPU us: of routers and\n"
    "gateways, a delivered message. bus B: bytes into and out of the bus, a push. servers us: CPU, a delivered message."
)


def line(row: Row) -> str:
    """A row of the table; one that says nothing says so."""
    servers = ", ".join(f"{name} {used:.0f}" for name, used in row.server_us.items())
    told = (
        f"{row.mode:10}{row.bus:7}{row.gateways:>8}  {row.target:8}{row.handled_per_push:>8.2f}"
        f"{row.amplification:>9.2f}{row.cpu_us_per_delivery:>9.1f}{row.p50_ms:>9.2f}{row.p99_ms:>9.2f}"
        f"{row.bus_bytes_per_push:>9.0f}  {servers}"
    )
    return told if row.valid else f"{told}  INVALID: {row.why}"
