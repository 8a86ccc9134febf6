"""`homing compare` with real clusters: its figures; an interrupted run leaves nothing behind."""

import json
import os
import signal
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.up import HOMING

pytestmark = pytest.mark.timeout(120)


def compare(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start `homing compare`, with its temporary files in `tmp_path`/tmp."""
    (tmp_path / "tmp").mkdir()
    return subprocess.Popen(
        [*HOMING, "compare", "--bus", "redis", "--gateways", "1,2", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    )


def test_routed_goes_to_owners_and_broadcast_to_all(tmp_path: Path) -> None:
    process = compare(tmp_path, "--seconds", "0.5", "--viewers", "4", "--json", "--svg", str(tmp_path / "chart.svg"))
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    result = json.loads(out)  # and nothing else on stdout
    rows = {(row["mode"], row["target"], row["gateways"]): row for row in result["rows"]}
    assert len(rows) == len(result["rows"]) == 8
    for (mode, target, gateways), row in rows.items():
        assert row["delivered"] == row["expected"] == row["pushes"] * (4 if target == "file" else 1), row
        handled = gateways if mode == "broadcast" or target == "file" else 1.0
        assert row["handled_per_push"] == handled
        assert row["amplification"] == (gateways if (mode, target) == ("broadcast", "unicast") else 1.0)
        assert (row["bus_bytes_per_push"] > 0) == (mode == "broadcast")
        assert row["cpu_us_per_delivery"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert rows["broadcast", "unicast", 2]["bus_bytes_per_push"] > rows["broadcast", "unicast", 1]["bus_bytes_per_push"]
    curves = {(curve["mode"], curve["target"]): curve["points"][-1] for curve in result["model"]}
    assert curves["routed", "unicast"]["handled_per_push"] == 1
    assert curves["broadcast", "unicast"] | {"cpu_us_per_delivery": 0} == {
        "gateways": 1000,
        "handled_per_push": 1000,
        "cpu_us_per_delivery": 0,
    }
    assert ElementTree.parse(tmp_path / "chart.svg").getroot().tag.endswith("svg")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = compare(tmp_path, "--seconds", "60")
    assert process.stderr is not None
    while "1 gateway" not in process.stderr.readline():
        assert process.poll() is None
    started = descendants(process.pid)
    assert len(started) >= 5  # up, etcd, redis, a router, a gateway
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert [pid for pid in started if alive(pid)] == []
    assert list((tmp_path / "tmp").iterdir()) == []


def descendants(pid: int) -> set[int]:
    """All current descendants of the process."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # the process has just ended
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_malformed_list_of_gateways_is_named(tmp_path: Path) -> None:
    process = compare(tmp_path, "--gateways", "1,two")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "'1,two' is not a list such as 1,2,4,8" in err
