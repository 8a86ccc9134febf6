"""The gate of coverage: which bound a file has, what is printed of one below it, and that nothing is forgotten."""

import json
from pathlib import Path

import pytest

from tests import coverage_gate
from tests.coverage_gate import classify, main, missing
from tests.unit.test_imports import ROOT, SERVICES, sources


def file(lines: tuple[int, ...] = (), branches: tuple[tuple[int, int], ...] = (), of: int = 100) -> dict[str, object]:
    """A file of coverage's report that misses so much of what it has."""
    summary = {
        "num_statements": of,
        "covered_lines": of - len(lines),
        "num_branches": len(branches),
        "covered_branches": 0,
    }
    return {"summary": summary, "missing_lines": list(lines), "missing_branches": list(map(list, branches))}


@pytest.fixture
def whole() -> dict[str, dict[str, object]]:
    """A report in which every source is covered."""
    return {str(path.relative_to(ROOT)): file() for path in sources(*SERVICES).values()}


def run(tmp_path: Path, files: dict[str, dict[str, object]]) -> int:
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": files}))
    return main([str(report)])


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("gateway/sessions/session.py", ("core", 100.0)),
        ("gateway/draining.py", ("shell", 90.0)),
        ("registry/etcd/client.py", ("shell", 90.0)),
        ("gateway/process.py", ("shell", None)),
        ("homing/client/router.py", ("other", 90.0)),
        ("homing/cluster/supervisor.py", ("other", None)),
    ],
)
def test_a_file_has_the_bound_of_its_kind(path: str, found: tuple[str, float | None]) -> None:
    assert classify(path, coverage_gate.EXEMPT) == found


def test_what_is_missing_is_ranges_of_lines_and_branches_from_lines_that_ran() -> None:
    found = file((3, 4, 5, 9), ((2, 3), (7, 8), (12, -10)))
    assert missing(found) == "3-5, 9, 7->8, 12->exit"


def test_a_report_in_which_all_is_covered_passes(
    tmp_path: Path, whole: dict[str, dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, whole) == 0
    assert "100.0 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "of", "code"),
    [
        ("gateway/sessions/session.py", 10_000, 1),  # one line of core
        ("gateway/draining.py", 20, 0),
        ("gateway/draining.py", 9, 1),  # 89 %
        ("gateway/process.py", 2, 0),
    ],
)
def test_a_file_below_its_bound_fails_and_is_named_with_what_is_missing(
    tmp_path: Path,
    whole: dict[str, dict[str, object]],
    capsys: pytest.CaptureFixture[str],
    path: str,
    of: int,
    code: int,
) -> None:
    assert run(tmp_path, whole | {path: file((7,), of=of)}) == code
    named = [line for line in capsys.readouterr().out.splitlines() if line.endswith("missing 7")]
    assert [line.split()[0] for line in named] == [path] * code


def test_a_source_that_was_not_measured_fails(tmp_path: Path, whole: dict[str, dict[str, object]]) -> None:
    del whole["gateway/draining.py"]
    assert run(tmp_path, whole) == 1


def test_without_a_kafka_its_adapters_have_no_bound(
    tmp_path: Path, whole: dict[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole |= {path: file((1,), of=1) for path in coverage_gate.NEEDS_KAFKA}
    monkeypatch.setattr(coverage_gate, "has_kafka", lambda: False)
    assert run(tmp_path, whole) == 0
    monkeypatch.setattr(coverage_gate, "has_kafka", lambda: True)
    assert run(tmp_path, whole) == 1
