"""What counts as an agreement between a simulated fleet and a real one."""

import pytest

from bench.scale.agreement import compare, read_metrics, with_cpu
from bench.scale.fleet_load import CpuCosts

METRICS = """
# HELP etcd_mvcc_put_total Total number of puts seen by this member.
etcd_mvcc_put_total 3460
etcd_mvcc_delete_total 1002
grpc_server_handled_total{grpc_code="OK",grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1957
grpc_server_handled_total{grpc_code="Aborted",grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"} 7
etcd_network_client_grpc_sent_bytes_total 1.058253e+06
"""


def test_the_measures_are_read_from_etcds_metrics():
    costs = read_metrics(METRICS)
    assert (costs["transactions"], costs["keys_put"], costs["keys_deleted"]) == (1957, 3460, 1002)
    assert (costs["bytes_sent"], costs["watch_events"]) == (1_058_253, 0)


@pytest.mark.parametrize(
    ("measure", "predicted", "measured", "agrees"),
    [
        ("transactions", 114, 100, True),
        ("transactions", 116, 100, False),
        ("transactions", 84, 100, False),
        ("keepalives", 1.0, 0.6, True),  # of few, one more or less is much
        ("keepalives", 1.0, 0.5, False),
        ("router_cpu", 0.13, 0.10, True),
        ("etcd_cpu", 0.14, 0.10, False),
        ("bytes_sent", 0.0, 0.0, True),
    ],
)
def test_a_figure_agrees_within_its_tolerance(measure, predicted, measured, agrees):
    [found] = compare({measure: predicted * 10, "seconds": 10}, {measure: measured * 5, "seconds": 5})
    assert found.agrees is agrees
    assert (found.predicted, found.measured) == (predicted, measured)


def test_the_ratio_is_that_of_predicted_to_measured():
    [found] = compare({"reads": 90, "seconds": 1}, {"reads": 60, "seconds": 1})
    assert found.ratio == 1.5
    [found] = compare({"reads": 90, "seconds": 1}, {"reads": 0, "seconds": 1})
    assert found.ratio == 0.0


def test_what_was_not_measured_is_not_compared():
    assert list(compare({"reads": 90, "seconds": 1}, {"seconds": 1})) == []


def test_cpu_is_made_of_messages_events_streams_and_keys():
    costs = {"transactions": 10.0, "keys_put": 30.0, "keys_deleted": 20.0, "watch_messages": 20.0}
    costs |= {"watch_events": 100.0, "streams": 8.0, "seconds": 2.0}
    cpu = CpuCosts(
        router_event=1,
        router_message=10,
        router_stream=100,
        etcd_transaction=1000,
        etcd_key=100,
        etcd_message=10,
        etcd_event=1,
    )
    found = with_cpu(costs, 2, cpu)
    assert found["router_cpu"] == pytest.approx((50 * 1 + 10 * 10 + 4 * 2 * 100) / 1e6)
    assert found["etcd_cpu"] == pytest.approx((10 * 1000 + 50 * 100 + 20 * 10 + 100 * 1) / 1e6)
