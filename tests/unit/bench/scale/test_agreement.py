"""What counts as an agreement between a simulated fleet and a real one."""

import pytest

from bench.scale.agreement import compare, cpu_at_rate, read_metrics, with_cpu
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
        ("keepalives", 1.0, 0.6, True),  # three processes, 5 s: one period is 0.6 a second
        ("keepalives", 1.3, 0.6, False),
        ("reads", 1.7, 0.6, True),
        ("router_cpu", 0.13, 0.10, None),
        ("etcd_cpu", 0.10, 0.10, None),
        ("bytes_sent", 0.0, 0.0, True),
    ],
)
def test_a_figure_agrees_within_its_tolerance(measure, predicted, measured, agrees):
    [found] = compare({measure: predicted * 10, "seconds": 10}, {measure: measured * 5, "seconds": 5}, 3)
    assert found.agrees is agrees
    assert (found.predicted, found.measured) == (predicted, measured)


def test_the_ratio_is_that_of_predicted_to_measured():
    [found] = compare({"reads": 90, "seconds": 1}, {"reads": 60, "seconds": 1}, 3)
    assert found.ratio == 1.5
    [found] = compare({"reads": 90, "seconds": 1}, {"reads": 0, "seconds": 1}, 3)
    assert found.ratio == 0.0


def test_what_was_not_measured_is_not_compared():
    assert list(compare({"reads": 90, "seconds": 1}, {"seconds": 1}, 3)) == []


def test_cpu_is_made_of_messages_events_streams_and_keys():
    costs = {"transactions": 10.0, "keys_put": 30.0, "keys_deleted": 20.0, "watch_messages": 20.0}
    costs |= {"watch_events": 100.0, "streams": 8.0, "seconds": 2.0}
    cpu = CpuCosts(
        router_message=((1, 20), (100, 2)),
        router_event=1,
        router_acknowledgement=3,
        router_stream=100,
        router_idle=7,
        etcd_transaction=((5, 1000), (6, 10)),
        etcd_key=100,
        etcd_message=10,
        etcd_idle=7,
    )
    found = with_cpu(costs, 2, cpu)
    message = cpu_at_rate(cpu.router_message, 5) + 3
    assert found["router_cpu"] == pytest.approx((50 * 1 + 10 * message + 4 * 2 * 100 + 2 * 7) / 1e6)
    assert found["etcd_cpu"] == pytest.approx((10 * 1000 + 50 * 100 + 20 * 10 + 2 * 7) / 1e6)


def test_the_cost_of_one_falls_with_the_rate_between_the_measured_ones():
    measured = ((10, 100.0), (1000, 1.0), (2000, 1.0))
    costs = [cpu_at_rate(measured, rate) for rate in (1, 10, 100, 1000, 1500, 9000)]
    assert costs == pytest.approx([100, 100, 10, 1, 1, 1])
