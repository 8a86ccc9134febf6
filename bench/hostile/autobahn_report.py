"""Core of `make autobahn`: the suite's report becomes cases, a table by section, and the contradictions to what is
expected."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

EXPECTED_FILE = Path(__file__).with_name("autobahn_expected.toml")
SECTIONS = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "close",
    9: "large messages",
    10: "other",
    12: "permessage-deflate, sizes",
    13: "permessage-deflate, parameters",
}
COLUMNS = ("OK", "NON-STRICT", "INFORMATIONAL", "failed")


class SuiteCase(NamedTuple):
    """One case of the suite."""

    id: str  # "12.1.3"
    behavior: str
    behavior_close: str

    @property
    def verdict(self) -> str:
        """One of COLUMNS. A case that the server declined (UNIMPLEMENTED) has failed: all can be passed."""
        if self.behavior_close not in ("OK", "INFORMATIONAL") or self.behavior not in COLUMNS:
            return "failed"
        return self.behavior

    @property
    def section(self) -> int:
        return int(self.id.partition(".")[0])


def read_report(agents: dict[str, dict[str, dict[str, Any]]]) -> list[SuiteCase]:
    """The cases of an index.json, which names them by agent, in their order."""
    [results] = agents.values()
    cases = [SuiteCase(id, found["behavior"], found["behaviorClose"]) for id, found in results.items()]
    return sorted(cases, key=lambda case: [int(number) for number in case.id.split(".")])


def load_expected(text: str | None = None) -> dict[str, str]:
    """The failures that are known, each with its reason."""
    groups = tomllib.loads(text if text is not None else EXPECTED_FILE.read_text()).get("group", [])
    return {case: group["reason"] for group in groups for case in group["cases"]}


def contradictions(cases: list[SuiteCase], expected: dict[str, str]) -> list[str]:
    """A line for each case that does not end as expected."""
    lines = []
    for case in cases:
        if case.verdict == "failed" and case.id not in expected:
            lines.append(f"NOT EXPECTED TO FAIL  {case.id}: {case.behavior}, close {case.behavior_close}")
        elif case.verdict != "failed" and case.id in expected:
            lines.append(f"PASSES, BUT IS LISTED  {case.id}")
    return lines


def table(cases: list[SuiteCase]) -> list[str]:
    """The cases by section and verdict, as a table of Markdown."""
    counts: dict[int, Counter[str]] = {}
    for case in cases:
        counts.setdefault(case.section, Counter())[case.verdict] += 1
    rows = [f"| {number} | {SECTIONS.get(number, '')} | {_numbers(found)} |" for number, found in counts.items()]
    total = sum(counts.values(), Counter[str]())
    head = f"| section | about | {' | '.join(COLUMNS)} |"
    return [head, "|" + "---|" * (2 + len(COLUMNS)), *rows, f"| all {total.total()} | | {_numbers(total)} |"]


def _numbers(found: "Counter[str]") -> str:
    return " | ".join(str(found[column]) for column in COLUMNS)
