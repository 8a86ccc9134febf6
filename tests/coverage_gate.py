"""Branch coverage is a gate: 100 % of core, 90 % of shells, on unit, property and contract tests (`make cover`).

    python -m tests.coverage_gate .coverage.json

Reads coverage's JSON report. Core and shell are as tests/unit/test_imports.py has them; a figure is coverage's
`percent_covered`, of lines and branches together. Prints a table by folder and every file below its bound with what is
missing there; exits 1 when there is one, or when a rule of this file names a file that the report does not have.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from homing.cluster import kafka
from homing.cluster.errors import CommandError
from tests.unit.test_imports import ROOT, SERVICES, SHELLS, module_name, sources, within

CORE, SHELL, CLIENT = 100.0, 90.0, 90.0  # percent

EXEMPT = {
    "gateway/__main__.py": "a process's entry point: tests/cluster runs it",
    "gateway/adapters.py": "chooses between adapters of servers: tests/cluster runs it with each",
    "gateway/composition/base.py": "puts a whole gateway together: tests/cluster runs it",
    "gateway/composition/client_parts.py": "puts a whole gateway together: tests/cluster runs it",
    "gateway/composition/client_routes.py": "puts a whole gateway together: tests/cluster runs it",
    "gateway/composition/delivery_parts.py": "puts a whole gateway together: tests/cluster runs it",
    "gateway/composition/node_parts.py": "puts a whole gateway together: tests/cluster runs it",
    "gateway/composition/registry_parts.py": "puts a whole gateway together: tests/cluster runs it",
    "gateway/composition/router_parts.py": "puts a whole gateway together: tests/cluster runs it",
    "gateway/process.py": "a gateway's start, signals and end: tests/cluster runs it",
    "router/__main__.py": "a process's entry point: tests/cluster runs it",
    "router/adapters.py": "chooses between adapters of servers: tests/cluster runs it with each",
    "router/process.py": "a router's composition, start, signals and end: tests/cluster runs it",
    "runtime/process/worker_service.py": "half of it runs in forked children, which are not measured; tests/unit does",
    "runtime/process/workers.py": "half of it runs in forked children, which are not measured; tests/unit does",
}
"""Files that only tests of whole processes can run, each with its reason. They are reported without a bound."""

NEEDS_KAFKA = {
    "runtime/events/kafka_topic.py": "tests/contract/test_event_sink.py",
    "runtime/bus/kafka_client.py": "tests/contract/test_bus.py and test_event_sink.py",
    "runtime/bus/kafka_topic.py": "tests/contract/test_bus.py",
}
"""Adapters, and the contract tests that run them on a real Kafka. Where there is none, they have no bound."""


class Figure(NamedTuple):
    """What coverage counts: lines and branches together."""

    covered: int
    total: int

    @property
    def percent(self) -> float:
        return 100.0 * self.covered / self.total if self.total else 100.0

    def __add__(self, other: tuple[int, ...]) -> "Figure":  # type: ignore[override]
        return Figure(self.covered + other[0], self.total + other[1])

    def __str__(self) -> str:
        return f"{int(self.percent * 10) / 10:5.1f} %" if self.total else "      -"


class File(NamedTuple):
    """One file of the report. `bound`: percent; None: it is only reported."""

    path: str
    kind: str  # "core", "shell" or "other"
    bound: float | None
    figure: Figure
    missing: str

    @property
    def is_below(self) -> bool:
        return self.bound is not None and self.figure.percent < self.bound


def classify(path: str, exempt: Iterable[str]) -> tuple[str, float | None]:
    """The kind and the bound of one source file, by its path from the root."""
    top = path.partition("/")[0]
    if top not in SERVICES:
        return "other", CLIENT if path.startswith("homing/client/") else None
    shell = within(module_name(ROOT / path), *SHELLS)
    bound = SHELL if shell else CORE
    return "shell" if shell else "core", None if path in exempt else bound


def read_report(report: dict[str, Any], exempt: Iterable[str]) -> list[File]:
    """The files that are judged or reported here, in the order of their names."""
    files = []
    for path, found in sorted(report["files"].items()):
        if path.partition("/")[0] in (*SERVICES, "homing"):
            summary = found["summary"]
            covered = summary["covered_lines"] + summary["covered_branches"]
            figure = Figure(covered, summary["num_statements"] + summary["num_branches"])
            kind, bound = classify(path, exempt)
            files.append(File(path, kind, bound, figure, missing(found)))
    return files


def missing(found: dict[str, Any]) -> str:
    """Lines that did not run, and branches that were not taken from lines that did."""
    lines = set(found["missing_lines"])
    branches = [(start, end) for start, end in found["missing_branches"] if start not in lines and end not in lines]
    arrows = [f"{start}->{'exit' if end < 0 else end}" for start, end in branches]
    return ", ".join([*_ranges(sorted(lines)), *arrows])


def _ranges(lines: list[int]) -> list[str]:
    ranges: list[list[int]] = []
    for line in lines:
        if ranges and ranges[-1][1] == line - 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    return [f"{first}-{last}" if last > first else str(first) for first, last in ranges]


def table(files: list[File]) -> list[str]:
    """Figures by folder, and of all."""
    folders = defaultdict(list)
    for file in files:
        folders[str(Path(file.path).parent)].append(file)
    rows = [(folder, folders[folder]) for folder in sorted(folders) if _sum(folders[folder], lambda _: True).total]
    rows += [(f"all of {top}", [f for f in files if f.path.startswith(f"{top}/")]) for top in (*SERVICES, "homing")]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'folder':{width}}      core     shell     other  no bound"]
    for name, found in rows:
        bounded = [file for file in found if file.bound is not None]
        cells = [_sum(bounded, lambda file, kind=kind: file.kind == kind) for kind in ("core", "shell", "other")]
        cells.append(_sum(found, lambda file: file.bound is None))
        lines.append(f"{name:{width}}" + "".join(f"{cell!s:>10}" for cell in cells))
    return lines


def _sum(files: list[File], chosen: Callable[[File], bool]) -> Figure:
    return sum((file.figure for file in files if chosen(file)), Figure(0, 0))


def stale(report: dict[str, Any], sources_of: Iterable[Path], listed: Iterable[str]) -> list[str]:
    """Sources that the report does not have, and rules for files that are gone."""
    measured = set(report["files"])
    absent = [path for source in sources_of if (path := str(source.relative_to(ROOT))) not in measured]
    return [f"{path} is not in the report" for path in sorted({*absent, *(set(listed) - measured)})]


def has_kafka() -> bool:
    """Whether contract tests could start a broker."""
    try:
        kafka.find_java()
        kafka.find_libs()
    except CommandError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """The exit code."""
    report = json.loads(Path(arguments[0]).read_text())
    without_kafka = (
        {} if has_kafka() else {path: f"no Kafka here to run {tests}" for path, tests in NEEDS_KAFKA.items()}
    )
    exempt = EXEMPT | without_kafka
    files = read_report(report, exempt)
    print(*table(files), sep="\n")
    print(f"\nBounds: core {CORE:.0f} %, shells {SHELL:.0f} %, homing/client {CLIENT:.0f} %. Without a bound:")
    print(*(f"  {path}: {reason}" for path, reason in exempt.items()), sep="\n")
    print("  homing but its client: the command and the cluster it starts are processes; tests/cluster runs them")
    wrong = [
        f"{file.path} {file.figure} of {file.bound:.0f} % ({file.kind}); missing {file.missing}"
        for file in files
        if file.is_below
    ]
    wrong += stale(report, sources(*SERVICES).values(), [*EXEMPT, *NEEDS_KAFKA])
    print(
        *(["\nBelow its bound:", *(f"  {line}" for line in wrong)] if wrong else ["\nEvery file is above its bound."]),
        sep="\n",
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
