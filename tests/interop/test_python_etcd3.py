"""The registry read back with python-etcd3, the package the design card names: its keys are plain etcd.

etcd3 0.12.0 imports beside a current protobuf only with the pure-Python implementation, a switch for a whole process,
so it runs in one of its own.
"""

import asyncio
import json
import os
import sys

from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.model import Incarnation, Node, SessionInfo
from registry.ports import RegistrySettings
from registry.registrar import StoreRegistrar
from tests.support.servers import Server

READ = """
import json, sys
import etcd3

host, _, port = sys.argv[1].rpartition(":")
client = etcd3.client(host=host, port=int(port))
found = {
    meta.key.decode(): [value.decode(), meta.create_revision, meta.lease_id != 0]
    for value, meta in client.get_prefix(sys.argv[2])
}
print(json.dumps(found))
"""


async def python_etcd3(endpoint: str, prefix: str) -> dict[str, list]:
    """What etcd3 finds below the prefix: value, create-revision, whether it has a lease."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", READ, endpoint, prefix),
        env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return json.loads(out)


async def test_python_etcd3_reads_nodes_sessions_and_files(etcd: Server) -> None:
    store = EtcdStore(EtcdSettings(endpoints=(etcd.endpoint,)))
    settings = RegistrySettings(cluster="etcd3")
    registrar = StoreRegistrar(store, settings, "n.1", lambda m: Node("ws://h:1/ws", "h:2", "h:3", m, "1.0"))
    member = await registrar.begin()
    incarnation = member.incarnation
    run = asyncio.ensure_future(member.run())
    await asyncio.gather(
        member.register_session("ann/müller", 77, SessionInfo("/", "dev", 1_764_000_000_000)),
        member.register_file("plan.txt"),
    )
    try:
        found = await python_etcd3(etcd.endpoint, "/homing/etcd3/")
    finally:
        await member.end()
        await run
        await store.close()

    assert isinstance(incarnation, Incarnation)
    owner = f"n%2E1.{incarnation.epoch}"
    value, created, leased = found["/homing/etcd3/nodes/n%2E1"]
    assert json.loads(value) == {
        "client": "ws://h:1/ws",
        "port": "h:2",
        "admin": "h:3",
        "machine": member.machine,
        "version": "1.0",
        "draining": False,
        "restoring": False,
    }
    assert (created, leased) == (incarnation.epoch, True)
    assert found[f"/homing/etcd3/machines/{member.machine}"] == ["n.1", incarnation.epoch, True]
    value, _, leased = found[f"/homing/etcd3/sessions/ann%2Fm%C3%BCller/77/{owner}"]
    assert json.loads(value) == {"namespace": "/", "auth_type": "dev", "connected_at": 1_764_000_000_000}
    assert not leased
    assert found[f"/homing/etcd3/files/plan%2Etxt/{owner}"][0] == ""
    layout = json.loads(found["/homing/etcd3/layout"][0])
    assert len(layout.pop("id")) == 16
    assert layout == {"version": 1, "cluster": "etcd3"}
