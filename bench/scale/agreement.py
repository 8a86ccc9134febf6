"""Core: what of a fleet is predicted and measured, and whether the two agree."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bench.scale.fleet_load import Costs, CpuCosts

TOLERANCE = 0.15  # of the measured figure, for counts
CPU_TOLERANCE = 0.35  # for CPU: its constants were measured on another day than the run, and two cores are shared
FEW = 3.0  # a second: below it one call more or less is more than the tolerance, and counts have this much in absolute

MEASURES = {
    "transactions": "etcd: transactions",
    "keys_put": "etcd: keys put, guards included",
    "keys_deleted": "etcd: keys deleted",
    "revisions": "etcd: revisions",
    "reads": "etcd: reads",
    "keepalives": "etcd: keepalives of leases",
    "watch_messages": "etcd: messages of watches, to all routers",
    "watch_events": "etcd: watch events, to all routers",
    "bytes_received": "etcd: bytes received",
    "bytes_sent": "etcd: bytes sent",
    "batches": "gateways: batches",
    "stream_messages": "routers: messages to gateways (pings, acknowledgements)",
    "router_cpu": "routers: seconds of CPU, each",
    "etcd_cpu": "etcd: seconds of CPU",
}
"""All are figures a second."""

ETCD_METRICS = {
    "transactions": r'grpc_server_handled_total\{grpc_code="OK",grpc_method="Txn",.*\}',
    "keys_put": r"etcd_mvcc_put_total",
    "keys_deleted": r"etcd_mvcc_delete_total",
    "revisions": r"etcd_debugging_mvcc_current_revision",
    "reads": r'grpc_server_handled_total\{grpc_code="OK",grpc_method="Range",.*\}',
    "keepalives": r'grpc_server_msg_received_total\{grpc_method="LeaseKeepAlive",.*\}',
    "watch_messages": r'grpc_server_msg_sent_total\{grpc_method="Watch",.*\}',
    "watch_events": r"etcd_debugging_mvcc_events_total",
    "bytes_received": r"etcd_network_client_grpc_received_bytes_total",
    "bytes_sent": r"etcd_network_client_grpc_sent_bytes_total",
}
"""By measure, the name and labels of etcd's own metric (3.5 and 3.6)."""


class Comparison(NamedTuple):
    """One figure, a second, predicted and measured."""

    measure: str
    predicted: float
    measured: float
    agrees: bool

    @property
    def ratio(self) -> float:
        """Predicted to measured; 0 if nothing was measured."""
        return self.predicted / self.measured if self.measured else 0.0


def read_metrics(text: str) -> Costs:
    """The measures in etcd's exposition; one that is missing is 0."""
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {
        measure: sum(float(value) for name, value in values.items() if re.fullmatch(pattern, name))
        for measure, pattern in ETCD_METRICS.items()
    }


def with_cpu(costs: Costs, routers: int, cpu: CpuCosts) -> Costs:
    """The costs of a simulated phase, with the CPU that they need."""
    messages, events = costs["watch_messages"], costs["watch_events"]
    router = messages / routers * cpu.router_message + events / routers * cpu.router_event
    router += costs["streams"] / routers * costs["seconds"] * cpu.router_stream
    keys = costs["keys_put"] + costs["keys_deleted"]
    etcd = costs["transactions"] * cpu.etcd_transaction + keys * cpu.etcd_key
    etcd += messages * cpu.etcd_message + events * cpu.etcd_event
    return costs | {"router_cpu": router / 1e6, "etcd_cpu": etcd / 1e6}


def compare(predicted: Costs, measured: Mapping[str, float]) -> Iterator[Comparison]:
    """All measures that were measured, a second each. Both have `seconds`."""
    for measure in MEASURES:
        if measure not in measured:
            continue
        expected = predicted.get(measure, 0.0) / predicted["seconds"]
        found = measured[measure] / measured["seconds"]
        yield Comparison(measure, expected, found, _agree(measure, expected, found))


def _agree(measure: str, expected: float, found: float) -> bool:
    if measure.endswith("_cpu"):
        return abs(expected - found) <= CPU_TOLERANCE * found
    few = 0.0 if measure.startswith("bytes") else FEW * TOLERANCE
    return abs(expected - found) <= max(TOLERANCE * found, few)
