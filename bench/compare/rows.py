"""One measured row, and its line in the table."""

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one target, in one mode, over one bus. CPU is in microseconds per delivered message.

    The CPU of the same processes without load is subtracted, or more gateways would seem to cost more by running;
    `idle_ms_per_s` has the subtracted CPU.
    """

    mode: str  # routed or broadcast
    bus: str  # redis or kafka
    gateways: int
    target: str  # unicast or file
    pushes: int
    expected: int  # messages to clients
    delivered: int
    handled_per_push: float  # the sum of the gateways' own counters, per push
    amplification: float  # messages handled per gateway that owned a receiver
    cpu_us_per_delivery: float  # routers and gateways
    router_us: float
    gateway_us: float
    server_us: dict[str, float]  # etcd, redis and kafka
    idle_ms_per_s: float  # CPU of routers and gateways without load
    p50_ms: float  # from a push's due time to its arrival
    p99_ms: float
    bus_bytes_per_push: float  # published, plus received by each gateway
    late: int  # pushes that the load generator sent late
    valid: bool
    reason: str = ""  # of an invalid row


HEADER = (
    f"{'mode':10}{'bus':7}{'gateways':>8}  {'target':8}{'handled':>8}{'amplif.':>9}{'CPU us':>9}{'p50 ms':>9}"
    f"{'p99 ms':>9}{'bus B':>9}  servers us"
)
LEGEND = (
    "handled: messages that all gateways together handled per push, by their own counters. CPU us: of routers and\n"
    "gateways, per delivered message. bus B: bytes in and out of the bus, per push. servers us: CPU, per delivered\n"
    "message."
)


def format_row(row: Row) -> str:
    """The row's line in the table; an invalid row ends with its reason."""
    servers = ", ".join(f"{name} {used:.0f}" for name, used in row.server_us.items())
    text = (
        f"{row.mode:10}{row.bus:7}{row.gateways:>8}  {row.target:8}{row.handled_per_push:>8.2f}"
        f"{row.amplification:>9.2f}{row.cpu_us_per_delivery:>9.1f}{row.p50_ms:>9.2f}{row.p99_ms:>9.2f}"
        f"{row.bus_bytes_per_push:>9.0f}  {servers}"
    )
    return text if row.valid else f"{text}  INVALID: {row.reason}"
