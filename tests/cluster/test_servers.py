"""The real servers, started the way `up` starts them."""

import http.client
import json
import socket

import pytest

from homing.cluster import servers
from homing.cluster.errors import CommandError


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path


async def test_etcd_runs_with_the_configured_quota(run_dir):
    started = await servers.start_etcd(run_dir)
    try:
        host, _, port = started.address.partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        connection.request("GET", "/metrics")
        metrics = connection.getresponse().read().decode()
        connection.close()
        [quota] = [line for line in metrics.splitlines() if line.startswith("etcd_server_quota_backend_bytes ")]
        assert float(quota.split()[1]) == servers.ETCD_QUOTA_BYTES
    finally:
        assert await started.child.stop(10)
    assert started.child.returncode is not None


async def test_redis_answers_and_writes_no_file(run_dir):
    started = await servers.start_redis(run_dir)
    host, _, port = started.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"SET a b\r\n")
        assert connection.recv(16) == b"+OK\r\n"
    assert await started.child.stop(10)
    assert list((run_dir / "redis").iterdir()) == []


async def test_a_port_taken_by_another_process_is_replaced(run_dir, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        choices = [[taken.getsockname()[1]], servers.free_ports(1)]
        monkeypatch.setattr(servers, "free_ports", lambda count: choices.pop(0))
        started = await servers.start_redis(run_dir)
        await started.child.stop(10)
    assert choices == []


async def test_the_error_of_a_server_that_exits_has_the_end_of_its_log(run_dir, monkeypatch):
    broken = run_dir / "etcd-broken"
    broken.write_text("#!/bin/sh\necho this etcd is broken >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(servers, "find_etcd", lambda: servers.ServerProgram(str(broken), "here"))
    with pytest.raises(CommandError) as error:
        await servers.start_etcd(run_dir)
    assert str(error.value).endswith("\n  this etcd is broken")


async def test_a_program_that_cannot_be_run_is_named(run_dir, monkeypatch):
    broken = run_dir / "redis-broken"
    broken.write_text(json.dumps("no program at all"))
    monkeypatch.setattr(servers, "find_redis", lambda: servers.ServerProgram(str(broken), "here"))
    with pytest.raises(CommandError, match=r"redis cannot be run: .*Permission denied"):
        await servers.start_redis(run_dir)
