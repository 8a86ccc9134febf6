"""Core: the CPU of one event, one message and one stream, as measured."""

from bench.scale.fleet_load import CpuCosts

CPU = CpuCosts(
    router_event=25.0,
    router_message=100.0,
    router_stream=400.0,
    etcd_transaction=200.0,
    etcd_key=14.0,
    etcd_message=50.0,
    etcd_event=3.0,
)
