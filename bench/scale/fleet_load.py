"""Core: what the clients of a fleet do in one run, and what etcd costs a call."""

import msgspec


class FleetSize(msgspec.Struct, frozen=True):
    """Processes and clients. Every client has a user of its own, and joins the file that `file_members` share."""

    nodes: int
    routers: int
    idle: int  # clients that stay until a storm
    sessions: int  # clients that come and go, as many as are connected at any time
    file_members: int = 20


class SteadyLoad(msgspec.Struct, frozen=True):
    """Clients that come and go at constant rates for some seconds."""

    connects_per_s: float
    disconnects_per_s: float
    seconds: float
    waiting: int = 0  # new users that connect first; then those come back that have gone, in their order


class StormLoad(msgspec.Struct, frozen=True):
    """Idle clients lose their connections at once, and come back at a constant rate; `seconds` in all."""

    dropped: int
    connects_per_s: float
    seconds: float


class EtcdCosts(msgspec.Struct, frozen=True):
    """What one etcd needs. Latencies are those of a client that is alone; *serial* time is spent on one call at once,
    so that calls wait for each other. Seconds."""

    read: float  # latency of the read of one key
    transaction: float  # latency of a transaction, beside its keys
    key: float  # the same, for each key
    serial_transaction: float
    serial_key: float
    watch: float = 0.0005  # from the commit to the router


Rates = tuple[tuple[float, float], ...]
"""Microseconds of one at some rates: (how many a second, microseconds), by rising rates."""


class CpuCosts(msgspec.Struct, frozen=True):
    """Microseconds of CPU, measured (docs/scale.md)."""

    router_message: Rates  # of a watch's message, which is one transaction
    router_event: float  # of a change in it
    router_acknowledgement: float  # of it, to its gateway
    router_stream: float  # of a stream to a gateway, for each second: pings
    router_idle: float  # each second: reads of the guards, keepalives
    etcd_transaction: Rates
    etcd_key: float
    etcd_message: float  # to one router
    etcd_idle: float  # each second


Costs = dict[str, float]
"""Counts of one phase, by name: see `bench.scale.agreement.MEASURES`."""
