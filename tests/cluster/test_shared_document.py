"""The example, on the first edits of both recordings, and with a fault on purpose."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.up import HOMING

RUN = Path(__file__).resolve().parents[2] / "examples" / "shared_document" / "run.py"

pytestmark = pytest.mark.timeout(90)


def run(up, *arguments):
    command = [sys.executable, str(RUN), "--run-dir", str(up.run_dir), "--limit", "300", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=80)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["recordings"], done.stderr


def test_every_viewer_ends_with_exactly_the_recorded_text(shared_up):
    status, recordings, errors = run(shared_up)
    assert [recording["recording"] for recording in recordings] == ["clownschool", "friendsforever"]
    for recording in recordings:
        assert (recording["viewers"], recording["equal"], recording["faults"]) == (50, 50, [])
        assert recording["edits"] == 300
        assert 0 < recording["p50_ms"] <= recording["p99_ms"]
    assert (status, errors) == (0, "")


def test_a_planted_swap_of_two_pushes_makes_the_check_fail(shared_up):
    status, [recording], _ = run(shared_up, "--plant-swap")
    assert status == 1
    assert not recording["passed"]
    assert recording["edits"] == 300
    assert recording["equal"] < recording["viewers"] == 50


async def test_a_writer_names_the_reason_when_the_gateway_refuses_an_edit(shared_up, monkeypatch):
    monkeypatch.syspath_prepend(str(RUN.parent))
    from writers import Writer, write

    command = [*HOMING, "token", "--user", "writer", "--file", "paste", "--run-dir", str(shared_up.run_dir)]
    token = subprocess.check_output(command, text=True)  # noqa: ASYNC221
    async with aiohttp.ClientSession() as http:
        writer = await Writer.open(http, shared_up.cluster["gateways"][0]["url"], token.strip(), "paste")
        reading = asyncio.create_task(writer.read())
        with pytest.raises(ConnectionError, match=r"too_large: .*1000000"):
            await write([writer], "paste", [[[0, 0, "x" * 1_100_000]]], 1, lambda _: asyncio.sleep(0), [])
        await writer.close()
        await reading
