"""`python -m tests.simulation`: what it prints, and its exit status."""

import json
import sys
from typing import Any

import pytest

from tests.simulation import __main__ as command
from tests.simulation.invariants import Violation
from tests.simulation.run import Result


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # else it starts itself again, with this


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["simulation", *arguments])
    return command.main()


def test_a_run_without_a_violation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--steps", "60", "--seed", "5", "--json") == 0
    out, err = capsys.readouterr()
    totals = json.loads(out)
    assert totals["seeds"] == [5, 5]
    assert totals["steps"] >= 60
    assert totals["violations"] == 0
    assert "seeds from 5 on" in err


def test_a_violation_is_shown_with_its_seed_and_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(seed: int, steps: int, **_options: Any) -> Result:
        violations = [Violation("I2", "written twice", 1.5)] if seed == 7 else []
        return Result(seed, steps, steps, violations, 3, ["a record"], 1, 2.0, 1, 1, 1, 0)

    monkeypatch.setattr(command, "run", run)
    assert call(monkeypatch, "--steps", "9000", "--seed", "5") == 1
    out, err = capsys.readouterr()
    assert "[5, 7]" in out
    assert "seed 7, step 3" in err
    assert "a record" in err
    assert "I2 at 1.500000: written twice" in err
    assert "python -m tests.simulation --seed 7 --steps 1000" in err


def test_without_a_seed_one_is_chosen_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.secrets, "randbelow", lambda _bound: 11)
    assert call(monkeypatch, "--steps", "10") == 0
    assert "seeds from 11 on" in capsys.readouterr().err
