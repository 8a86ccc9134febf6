"""`homing up` as a process: start, files, stop, and the state after a kill."""

import json
import os
import signal
import subprocess

import pytest

from tests.support.up import HOMING, Up, wait_gone

UP = [*HOMING, "up", "--ports", "random"]

pytestmark = pytest.mark.timeout(60)


def test_a_cluster_from_start_to_stop(tmp_path):
    with Up(tmp_path, "--gateways", "2") as up:
        cluster, pids = up.cluster, up.pids
        assert len(cluster["gateways"]) == 2
        assert len(cluster["routers"]) == 1
        assert set(cluster["servers"]) == {"etcd", "redis"}
        assert len(set(pids)) == 5

        second = subprocess.run([*UP, "--run-dir", up.run_dir], capture_output=True, text=True, timeout=20)
        assert second.returncode == 1
        assert f"in use by `homing up` with pid {up.process.pid}" in second.stderr

        assert up.stop() == 0
        wait_gone(pids, within=0.5)
        assert not (up.run_dir / "cluster.json").exists()
        assert "Traceback" not in up.log.read_text()
        for log in (up.run_dir / "logs").iterdir():
            assert "Traceback" not in log.read_text(), log


def test_killed_up_leaves_nothing_running_and_the_next_one_starts(tmp_path):
    with Up(tmp_path, "--gateways", "1") as up:
        pids = up.pids
        up.process.kill()
        up.process.wait()
        wait_gone(pids)
        assert (up.run_dir / "cluster.json").exists(), "nobody was there to remove it"
    again = subprocess.Popen(
        [*UP, "--gateways", "1", "--run-dir", up.run_dir, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    printed = json.loads(again.stdout.readline())
    assert printed == up.cluster
    assert not set(up.pids) & set(pids)
    again.send_signal(signal.SIGTERM)
    assert again.communicate(timeout=25)[0] == b"", "with --json nothing else is printed"
    assert again.returncode == 0


def test_a_killed_server_ends_the_cluster_with_its_name(tmp_path):
    with Up(tmp_path, "--gateways", "1") as up:
        pids = up.pids
        os.kill(up.cluster["servers"]["redis"], signal.SIGKILL)
        assert up.process.wait(25) == 1
        wait_gone(pids)
        assert "redis died: signal SIGKILL; stopping the rest" in up.log.read_text()


def test_etcd_that_does_not_answer_is_named(tmp_path):
    command = [*UP, "--run-dir", tmp_path / "run", "--etcd", "127.0.0.1:1", "--config", tmp_path / "c.toml"]
    (tmp_path / "c.toml").write_text("[registry]\nstart_limit = 0.5\n")
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "cluster.json").exists()


@pytest.mark.parametrize(
    ("url", "status", "why"),
    [
        ("redis://ada:secret@127.0.0.1:1", 1, "homing: Redis at redis://127.0.0.1:1 does not answer ("),
        ("redis://ada:secret@127.0.0.1:x", 2, "Invalid value for '--redis': no URL of Redis, such as"),
    ],
)
def test_redis_that_does_not_answer_is_named(tmp_path, url, status, why):
    command = [*UP, "--run-dir", tmp_path / "run", "--redis", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    assert done.returncode == status
    assert why in done.stderr
    assert "Ready." not in done.stdout
    assert "secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named(tmp_path, shared_up):
    taken = shared_up.cluster["gateways"][0]["url"].split("/")[2]
    (tmp_path / "c.toml").write_text(f'[gateway]\nlisten = "{taken}"\n')
    command = [*UP, "--gateways", "1", "--run-dir", tmp_path / "run", "--config", tmp_path / "c.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    assert done.returncode == 1
    assert taken.partition(":")[2] in done.stderr
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("when", ["while it starts", "when it is ready"])
def test_up_ends_when_nobody_reads_it(tmp_path, when):
    command = [
        *UP,
        "--gateways",
        "1",
        "--run-dir",
        tmp_path / "run",
        *(["--json"] if when == "when it is ready" else []),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as up:
        line = up.stdout.readline()
        pids = json.loads(line)["servers"].values() if line.startswith("{") else []
        up.stdout.close()
        assert up.wait(25) == 141
        assert "homing: " not in up.stderr.read()
    wait_gone(list(pids), within=0.5)
    assert not (tmp_path / "run" / "cluster.json").exists()
