"""Records in etcd that no process of Homing writes: skipped, counted, said once, and nobody ends (issue 11, 1)."""

import asyncio

import pytest

from homing.v1 import router_pb2
from registry.etcd.client import TXN, EtcdClient, EtcdSettings
from registry.etcd.v1 import etcd_pb2 as pb
from tests.support.calls import push
from tests.support.cluster import Cluster, connect

pytestmark = pytest.mark.timeout(60)

NODE = b'{"client":"ws://a:1/ws","port":"%s","admin":"a:1","machine":7,"version":"1"}'
BAD_NODES = {
    "dots": NODE % b"gw..internal:8401",
    "long-label": NODE % (b"a" * 64 + b":8401"),
    "no-port": NODE % b"gw",
    "no-json": b"{",
    "huge": NODE % (b"a." * 300_000 + b"a:1"),
}


async def put(cluster: Cluster, key: bytes, value: bytes) -> None:
    client = EtcdClient(EtcdSettings(endpoints=(cluster.etcd,)))
    request = pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))])
    await client.call(TXN, request, pb.TxnResponse, retry=False)
    client.close()


def bad_records(cluster: Cluster, gateway: str) -> dict[bytes, bytes]:
    prefix = f"/homing/{cluster.name}/".encode()
    info = b'{"namespace":"/","auth_type":"t","connected_at":1}'
    return {
        **{prefix + b"nodes/" + name.encode(): value for name, value in BAD_NODES.items()},
        prefix + b"sessions/ada/99999999999999999999999/" + gateway.encode(): info,
        prefix + b"sessions/ada/5/" + gateway.encode(): info.replace(b"1}", b"1%s}" % (b"0" * 30)),
        prefix + b"sessions/\xff\xfe/5/x.1": info,
        prefix + b"\xff": b"",
        prefix + b"batches/ada": b"9" * 5_000,
        prefix + b"machines/\xc2\xb2": b"",
    }


async def test_bad_records_end_no_router_and_no_start(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    before = await cluster.start_router()
    records = bad_records(cluster, f"{gateway.node}.{gateway.facts['epoch']}")
    for key, value in records.items():
        await put(cluster, key, value)
    after = await cluster.start_router()
    await cluster.start_gateway()
    async with connect(cluster, gateway, "ada") as ada:
        for number in range(2):
            report = (await cluster.router(number).Push(push(user="ada"))).report
            assert dict(report.counts) == {"WRITTEN": 1}
            await ada.receive()
            everyone = (await cluster.router(number).Push(push(everyone=True))).report
            assert dict(everyone.counts) == {"WRITTEN": 1}
            await ada.receive()
            located = await cluster.router(number).Locate(router_pb2.LocateRequest(target=push(user="ada").target))
            assert [route.node for route in located.routes] == [gateway.node]
    for router in (before, after):
        assert router.process.returncode is None
        said = [line for line in router.log.read_text().splitlines() if "no process of Homing writes" in line]
        assert len(said) == 1
        assert "Traceback" not in router.log.read_text()


@pytest.mark.parametrize("host", ["gw..internal", "a" * 64, "g\u00fc", "a b"])
async def test_a_gateway_refuses_an_address_that_nobody_can_dial(cluster: Cluster, host: str) -> None:
    flags = ("--listen", "127.0.0.1:0", "--node-listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    process = await cluster.spawn("gateway", *flags, "--set", f"gateway.advertise={host}")
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (1, b"")
    last = err.decode().splitlines()[-1]
    assert last.startswith(f"gateway.advertise: routers cannot dial {host}:")
    assert "Traceback" not in err.decode()
