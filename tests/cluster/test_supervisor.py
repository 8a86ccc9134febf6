"""The supervisor with stub services: its reactions to failures of the processes."""

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from homing.cluster import cluster_file, supervisor
from homing.cluster.errors import CommandError
from homing.cluster.process import ChildProcess

STUB = Path(__file__).with_name("stub_service.py")


async def no_check(url):
    """No Redis is needed here."""


class SupervisedStubs:
    """A supervised cluster of stub services; `gateways` and `routers` list their behaviours."""

    def __init__(self, run_dir, monkeypatch, gateways=("good",), routers=("good",)):
        behaviours = {"gateway": iter(gateways), "router": iter(routers)}
        monkeypatch.setattr(supervisor.services, "service_command", partial(self._command, behaviours))
        monkeypatch.setattr(supervisor.redis_check, "check", no_check)
        self.run_dir = run_dir
        self.progress = []
        self.ready = asyncio.Event()
        spec = supervisor.ClusterSpec(
            run_dir, len(gateways), len(routers), ["127.0.0.1:9"], "redis://u:secret@127.0.0.1:9", {}
        )
        self.supervisor = supervisor.Supervisor(spec, self.progress.append, lambda cluster: self.ready.set())

    @staticmethod
    def _command(behaviours, kind, config, addresses):
        return [sys.executable, str(STUB), kind, next(behaviours[kind])]

    async def run_until_ready(self):
        running = asyncio.ensure_future(self.supervisor.run())
        ready = asyncio.ensure_future(self.ready.wait())
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if running.done():
            await running
        return running

    async def wait_progress(self, text):
        while not any(text in line for line in self.progress):
            await asyncio.sleep(0.01)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_the_cluster_file_exists_exactly_while_all_processes_run(tmp_path, monkeypatch):
    stubs = SupervisedStubs(tmp_path, monkeypatch, gateways=["good", "good"])
    running = await stubs.run_until_ready()
    assert not any("secret" in line for line in stubs.progress)
    cluster = cluster_file.read(tmp_path)
    assert len(cluster.gateways) == 2
    assert cluster.routers[0].grpc == "127.0.0.1:2"
    assert cluster.servers == {}
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert not cluster_file.path(tmp_path).exists()
    assert all(gone(part.pid) for part in (*cluster.gateways, *cluster.routers))


async def test_a_failed_start_stops_the_other_processes_and_quotes_the_log(tmp_path, monkeypatch):
    stubs = SupervisedStubs(tmp_path, monkeypatch, gateways=["good", "fails"])
    with pytest.raises(ExceptionGroup) as group:
        await stubs.run_until_ready()
    assert isinstance(group.value.exceptions[0], CommandError)
    message = str(group.value.exceptions[0])
    assert message.startswith("gateway-2 did not start: exit status 1; the end of ")
    assert message.endswith("\n  first line\n  port 80 is in use")
    assert not cluster_file.path(tmp_path).exists()


async def test_a_dead_gateway_is_reported_and_removed_from_the_file(tmp_path, monkeypatch):
    stubs = SupervisedStubs(tmp_path, monkeypatch, gateways=["good", "good"])
    running = await stubs.run_until_ready()
    before = cluster_file.read(tmp_path).gateways
    os.kill(before[0].pid, signal.SIGKILL)
    await stubs.wait_progress("gateway-1 died: signal SIGKILL; the others go on")
    while cluster_file.read(tmp_path).gateways == before:
        await asyncio.sleep(0.01)
    assert cluster_file.read(tmp_path).gateways == before[1:]
    assert not running.done()
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 0


async def test_a_process_that_does_not_stop_is_killed_after_the_timeout(tmp_path, monkeypatch):
    monkeypatch.setitem(supervisor.STOP_TIMEOUT, "gateway", 0.2)
    stubs = SupervisedStubs(tmp_path, monkeypatch, gateways=["ignores_sigterm"])
    running = await stubs.run_until_ready()
    pid = cluster_file.read(tmp_path).gateways[0].pid
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert gone(pid)
    assert "did not stop within 0 s and was killed" in stubs.progress[-1]


async def test_a_second_signal_kills_at_once(tmp_path, monkeypatch):
    stubs = SupervisedStubs(tmp_path, monkeypatch, gateways=["ignores_sigterm"])
    running = await stubs.run_until_ready()
    pid = cluster_file.read(tmp_path).gateways[0].pid
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.1)
    assert not running.done()
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(2):
        assert await running == 0
    assert gone(pid)


async def test_much_output_does_not_block_a_process(tmp_path, monkeypatch):
    stubs = SupervisedStubs(tmp_path, monkeypatch, gateways=["chatty"])
    running = await stubs.run_until_ready()
    log = tmp_path / "logs" / "gateway-1.log"
    async with asyncio.timeout(5):
        while "that was a lot" not in log.read_text():
            await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_a_signal_during_the_start_stops_all_processes(tmp_path, monkeypatch):
    stubs = SupervisedStubs(tmp_path, monkeypatch)
    running = asyncio.ensure_future(stubs.supervisor.run())
    await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert not stubs.ready.is_set()
    assert not cluster_file.path(tmp_path).exists()


async def test_the_log_has_all_output_of_a_child_also_a_line_of_megabytes(tmp_path, monkeypatch):
    stubs = SupervisedStubs(tmp_path, monkeypatch, gateways=["chatty"])
    running = await stubs.run_until_ready()
    log = tmp_path / "logs" / "gateway-1.log"
    while log.read_text().count("x") < 3_000_000:
        await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_a_log_that_cannot_be_written_does_not_end_the_cluster(tmp_path, monkeypatch):
    stream = asyncio.StreamReader()
    stream.feed_data(b"x" * 200_000)
    stream.feed_eof()
    process = SimpleNamespace(pid=1, stdout=stream, wait=lambda: asyncio.sleep(0, 7))
    child = ChildProcess("gateway-1", process, Path("/dev/full"))
    assert await child.wait_exited() == 7
    assert ChildProcess("gateway-1", process, tmp_path / "absent").log_tail() == []
