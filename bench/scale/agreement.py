"""Core: what of a fleet is predicted and measured, and whether the two agree."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from bench.scale.fleet_load import Costs, CpuCosts

TOLERANCE = 0.15  # of the measured figure
PERIODIC = {"keepalives": 1, "reads": 2}  # calls of each process in one period, which may be in the window or not

NOT_JUDGED = {"router_cpu", "etcd_cpu"}
"""The same load on the same machine has used 43 ms a second in one run and 69 in another."""

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
    agrees: bool | None  # None: not judged

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


def cpu_at_rate(measured: Sequence[tuple[float, float]], rate: float) -> float:
    """Microseconds of one at this rate: on straight lines, in logarithms, between the measured ones; beyond their ends
    the nearest of them. `measured`: rate and microseconds, by rising rates."""
    rate = min(max(rate, measured[0][0]), measured[-1][0])
    for (low, before), (high, after) in pairwise(measured):
        if rate <= high:
            return before * math.exp(math.log(rate / low) * math.log(after / before) / math.log(high / low))
    return measured[-1][1]


def with_cpu(costs: Costs, routers: int, cpu: CpuCosts) -> Costs:
    """The costs of a simulated phase, with the CPU that they need."""
    seconds, messages, events = costs["seconds"], costs["watch_messages"], costs["watch_events"]
    message = cpu_at_rate(cpu.router_message, messages / routers / seconds) + cpu.router_acknowledgement
    router = (messages * message + events * cpu.router_event + costs["streams"] * seconds * cpu.router_stream) / routers
    router += seconds * cpu.router_idle
    keys, transactions = costs["keys_put"] + costs["keys_deleted"], costs["transactions"]
    etcd = transactions * cpu_at_rate(cpu.etcd_transaction, transactions / seconds) + keys * cpu.etcd_key
    etcd += messages * cpu.etcd_message + seconds * cpu.etcd_idle
    return costs | {"router_cpu": router / 1e6, "etcd_cpu": etcd / 1e6}


def compare(predicted: Costs, measured: Mapping[str, float], processes: int) -> Iterator[Comparison]:
    """All measures that were measured, a second each. Both have `seconds`. `processes`: gateways and routers."""
    for measure in MEASURES:
        if measure not in measured:
            continue
        expected = predicted.get(measure, 0.0) / predicted["seconds"]
        found = measured[measure] / measured["seconds"]
        allowed = max(TOLERANCE * found, PERIODIC.get(measure, 0) * processes / measured["seconds"])
        agrees = None if measure in NOT_JUDGED else abs(expected - found) <= allowed
        yield Comparison(measure, expected, found, agrees)
