"""The suite of faults itself, with one short experiment on few clients: it runs, records, judges, and finds a fault."""

from pathlib import Path

import pytest

from bench.faults.checker import read_recording, violations_of
from bench.faults.experiments.gateways import GATEWAY_EXPERIMENTS
from bench.faults.runs import run_one
from bench.faults.world import Options

pytestmark = pytest.mark.timeout(90)


async def test_a_gateway_is_paused_for_two_seconds(tmp_path: Path) -> None:
    experiment = next(one for one in GATEWAY_EXPERIMENTS if one.number == "4")
    result = await run_one(experiment, Options(clients=40, rate=60, warm_up=0.5), tmp_path)
    assert result.violations == []
    assert result.verdict != "fail", result.criteria
    recording = read_recording(tmp_path / "4-gateway-paused-2-s.jsonl")
    assert [fault.phase for fault in recording.faults] == ["begin", "end"]
    assert len(recording.receipts) == result.receipts > 100
    recording.receipts.insert(0, recording.receipts[0])
    assert {one.invariant for one in violations_of(recording)} == {"I2"}, "a doubled receipt is found in a real history"
