"""Core: the CPU of one event, one message and one stream.

`router_message` and `etcd_transaction` are of `bench.scale.messages`, less the parts that are named apart, and
`router_event` is of `bench.scale.table`, less its messages. The stream and the idle seconds are those of idle clusters
with one gateway and with six; `router_acknowledgement` is what a router with one gateway needs beyond all that.
2026-11-26, two cores.
"""

from bench.scale.fleet_load import CpuCosts

CPU = CpuCosts(
    router_message=((100, 278.0), (400, 159.0), (1000, 92.0), (2900, 26.0), (3600, 17.0)),
    router_event=10.0,
    router_acknowledgement=40.0,
    router_stream=1_600.0,
    router_idle=2_200.0,
    etcd_transaction=((100, 791.0), (400, 569.0), (1000, 398.0), (3000, 197.0), (4300, 137.0)),
    etcd_key=12.0,
    etcd_message=30.0,
    etcd_idle=13_000.0,
)
