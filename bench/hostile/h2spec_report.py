"""h2spec's result: JUnit to cases, a table by section, and the comparison with the failures that are expected."""

import tomllib
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import NamedTuple

EXPECTED_FILE = Path(__file__).with_name("h2spec_expected.toml")


class Failure(NamedTuple):
    """An expected failure."""

    reason: str
    racy: bool  # the case may pass, too


Expected = dict[str, Failure]
"""By the id of a case."""


class Case(NamedTuple):
    """One case of h2spec."""

    section: str  # "http2/8.1.2.1 Pseudo-Header Fields"
    title: str
    result: str  # passed, failed or skipped
    detail: str = ""  # what was expected, then what came

    @property
    def id(self) -> str:
        """The number of the section, and the title."""
        return f"{self.section.partition(' ')[0]}: {self.title}"


def read_junit(text: str) -> list[Case]:
    """The cases of a JUnit report of h2spec."""
    cases = []
    for suite in ElementTree.fromstring(text):
        name = suite.get("name", "").partition(" ")[2]
        section = f"{suite.get('package')} {name}"
        cases += [_case(section, element) for element in suite]
    return cases


def _case(section: str, element: ElementTree.Element) -> Case:
    results = {"error": "failed", "failure": "failed", "skipped": "skipped"}
    for child in element:
        if child.tag in results:
            detail = "; ".join((child.text or "").strip().splitlines())
            return Case(section, element.get("classname", ""), results[child.tag], detail)
    return Case(section, element.get("classname", ""), "passed")


def load_expected(text: str | None = None) -> Expected:
    """The committed failures: groups of cases, each with its reason."""
    groups = tomllib.loads(text if text is not None else EXPECTED_FILE.read_text()).get("group", [])
    return {case: Failure(group["reason"], group.get("racy", False)) for group in groups for case in group["cases"]}


def comparison(cases: list[Case], expected: Expected) -> list[str]:
    """A line for each case that contradicts the expectation."""
    failed = {case.id for case in cases if case.result == "failed"}
    known = {case.id for case in cases}
    steady = {name for name, failure in expected.items() if not failure.racy}
    lines = [f"NOT EXPECTED TO FAIL  {name}" for name in sorted(failed - expected.keys())]
    lines += [f"PASSES, BUT IS LISTED  {name}" for name in sorted((steady - failed) & known)]
    return lines + [f"LISTED, BUT IS NO CASE  {name}" for name in sorted(expected.keys() - known)]


def table(cases: list[Case]) -> str:
    """Passed, failed and skipped cases by section, and their sums."""
    counts: dict[str, Counter[str]] = {}
    for case in cases:
        counts.setdefault(case.section, Counter())[case.result] += 1
    total = sum(counts.values(), Counter[str]())
    rows = [("SECTION", "PASSED", "FAILED", "SKIPPED")]
    rows += [(name, *_numbers(found)) for name, found in [*counts.items(), (f"all {total.total()} cases", total)]]
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{row[0]:<{width}}  {row[1]:>6}  {row[2]:>6}  {row[3]:>7}" for row in rows)


def _numbers(found: "Counter[str]") -> tuple[str, str, str]:
    return str(found["passed"]), str(found["failed"] or ""), str(found["skipped"] or "")


def failures(cases: list[Case], expected: Expected) -> list[str]:
    """Each failure by name, with what came, and the reason if it is listed."""
    lines = []
    for case in cases:
        if case.result == "failed":
            lines += [f"failed   {case.id}", f"         {case.detail}"]
            if listed := expected.get(case.id):
                lines.append(f"         listed: {listed.reason}")
        elif case.result == "skipped":
            lines.append(f"skipped  {case.id}")
    return lines
