"""The supervisor with stand-ins for the services: what it does when parts misbehave."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from homing.cluster import file, supervisor
from homing.cluster.trouble import CommandError

STUB = Path(__file__).with_name("stub_service.py")


class Stage:
    """A supervised cluster of stand-ins: its gateways' and routers' behaviours are given in order."""

    def __init__(self, run_dir, monkeypatch, gateways=("good",), routers=("good",)):
        for kind, behaviours in (("gateway", gateways), ("router", routers)):
            monkeypatch.setattr(supervisor.services, f"{kind}_command", self._command(kind, behaviours))
        self.run_dir = run_dir
        self.said = []
        self.ready = asyncio.Event()
        wanted = supervisor.Wanted(run_dir, len(gateways), len(routers), ["127.0.0.1:9"], "redis://127.0.0.1:9", {})
        self.supervisor = supervisor.Supervisor(wanted, self.said.append, lambda cluster: self.ready.set())

    @staticmethod
    def _command(kind, behaviours):
        return lambda config, user, index: [sys.executable, str(STUB), kind, behaviours[index]]

    async def run_until_ready(self):
        running = asyncio.ensure_future(self.supervisor.run())
        ready = asyncio.ensure_future(self.ready.wait())
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if running.done():
            await running
        return running

    async def wait_said(self, text):
        while not any(text in line for line in self.said):
            await asyncio.sleep(0.01)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_the_file_is_there_exactly_while_all_is_up(tmp_path, monkeypatch):
    stage = Stage(tmp_path, monkeypatch, gateways=["good", "good"])
    running = await stage.run_until_ready()
    cluster = file.read(tmp_path)
    assert len(cluster.gateways) == 2
    assert cluster.routers[0].grpc == "127.0.0.1:2"
    assert cluster.servers == {}
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert not file.path(tmp_path).exists()
    assert all(gone(part.pid) for part in (*cluster.gateways, *cluster.routers))


async def test_a_service_that_fails_at_start_takes_the_others_down_and_is_quoted(tmp_path, monkeypatch):
    stage = Stage(tmp_path, monkeypatch, gateways=["good", "fails"])
    with pytest.raises(ExceptionGroup) as group:
        await stage.run_until_ready()
    assert isinstance(group.value.exceptions[0], CommandError)
    told = str(group.value.exceptions[0])
    assert told.startswith("gateway-2 did not start: exit status 1; the end of ")
    assert told.endswith("\n  first line\n  port 80 is in use")
    assert not file.path(tmp_path).exists()


async def test_a_gateway_that_dies_is_reported_and_taken_out_of_the_file(tmp_path, monkeypatch):
    stage = Stage(tmp_path, monkeypatch, gateways=["good", "good"])
    running = await stage.run_until_ready()
    before = file.read(tmp_path).gateways
    os.kill(before[0].pid, signal.SIGKILL)
    await stage.wait_said("gateway-1 died: signal SIGKILL; the others go on")
    while file.read(tmp_path).gateways == before:
        await asyncio.sleep(0.01)
    assert file.read(tmp_path).gateways == before[1:]
    assert not running.done()
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 0


async def test_a_part_that_does_not_stop_is_killed_after_its_grace(tmp_path, monkeypatch):
    monkeypatch.setitem(supervisor.GRACE, "gateway", 0.2)
    stage = Stage(tmp_path, monkeypatch, gateways=["deaf"])
    running = await stage.run_until_ready()
    pid = file.read(tmp_path).gateways[0].pid
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert gone(pid)
    assert "did not stop within 0 s and was killed" in stage.said[-1]


async def test_a_second_signal_does_not_wait(tmp_path, monkeypatch):
    stage = Stage(tmp_path, monkeypatch, gateways=["deaf"])
    running = await stage.run_until_ready()
    pid = file.read(tmp_path).gateways[0].pid
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.1)
    assert not running.done()
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(2):
        assert await running == 0
    assert gone(pid)


async def test_a_part_that_prints_a_lot_is_not_stopped_by_it(tmp_path, monkeypatch):
    stage = Stage(tmp_path, monkeypatch, gateways=["chatty"])
    running = await stage.run_until_ready()
    log = tmp_path / "logs" / "gateway-1.log"
    async with asyncio.timeout(5):
        while "that was a lot" not in log.read_text():
            await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_a_signal_while_starting_stops_what_was_started(tmp_path, monkeypatch):
    stage = Stage(tmp_path, monkeypatch)
    running = asyncio.ensure_future(stage.supervisor.run())
    await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert not stage.ready.is_set()
    assert not file.path(tmp_path).exists()
