"""The real servers, started the way `up` starts them."""

import http.client
import json
import socket

import pytest

from homing.cluster import servers
from homing.cluster.trouble import CommandError


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path


async def test_etcd_answers_with_the_quota_that_it_was_given(run_dir):
    started = await servers.start_etcd(run_dir)
    try:
        host, _, port = started.address.partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        connection.request("GET", "/metrics")
        metrics = connection.getresponse().read().decode()
        connection.close()
        [quota] = [line for line in metrics.splitlines() if line.startswith("etcd_server_quota_backend_bytes ")]
        assert float(quota.split()[1]) == servers.ETCD_QUOTA
    finally:
        assert await started.child.stop(10)
    assert started.child.returncode is not None


async def test_redis_answers_and_leaves_no_file(run_dir):
    started = await servers.start_redis(run_dir)
    host, _, port = started.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"SET a b\r\n")
        assert connection.recv(16) == b"+OK\r\n"
    assert await started.child.stop(10)
    assert list((run_dir / "redis").iterdir()) == []


async def test_a_port_that_was_taken_meanwhile_is_tried_again_elsewhere(run_dir, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answers = [[taken.getsockname()[1]], servers.free_ports(1)]
        monkeypatch.setattr(servers, "free_ports", lambda count: answers.pop(0))
        started = await servers.start_redis(run_dir)
        await started.child.stop(10)
    assert answers == []


async def test_a_server_that_ends_is_quoted(run_dir, monkeypatch):
    broken = run_dir / "etcd-broken"
    broken.write_text("#!/bin/sh\necho this etcd is broken >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(servers, "find_etcd", lambda: servers.Program(str(broken), "here"))
    with pytest.raises(CommandError) as trouble:
        await servers.start_etcd(run_dir)
    assert str(trouble.value).endswith("\n  this etcd is broken")


async def test_a_program_that_cannot_be_run_is_named(run_dir, monkeypatch):
    broken = run_dir / "redis-broken"
    broken.write_text(json.dumps("no program at all"))
    monkeypatch.setattr(servers, "find_redis", lambda: servers.Program(str(broken), "here"))
    with pytest.raises(CommandError, match=r"redis cannot be run: .*Permission denied"):
        await servers.start_redis(run_dir)
