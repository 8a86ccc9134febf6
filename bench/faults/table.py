"""The results as tables for people, and the page docs/faults.md, whose last part is generated."""

from collections.abc import Sequence
from datetime import UTC, datetime

from bench.faults.experiment import ExperimentResult

HEADING = "## Last result"
SHOWN_VIOLATIONS = 5
VERDICTS = {"pass": "pass", "limit": "limit of the machine", "fail": "**not passed**"}


def as_text(results: Sequence[ExperimentResult]) -> str:
    """Each experiment with its figures; what was not met has an X."""
    lines: list[str] = []
    for one in results:
        lines.append(
            f"{one.verdict.upper():5} {one.number:>3}  {one.name}: {one.pushes:,} pushes, {one.receipts:,} receipts"
        )
        lines += [f"          {' ' if criterion.ok else 'X'} {criterion.text}" for criterion in one.criteria]
        lines += [f"          X {text}" for text in _shown(one.violations)]
        lines.append(f"            longest stall of the suite itself: {one.stall * 1e3:.0f} ms; {one.seconds:.0f} s")
    passed = sum(one.verdict == "pass" for one in results)
    return "\n".join([*lines, f"{passed} of {len(results)} experiments passed"])


def _shown(violations: Sequence[str]) -> list[str]:
    more = len(violations) - SHOWN_VIOLATIONS
    return [*violations[:SHOWN_VIOLATIONS], *([f"... and {more} more violations"] if more > 0 else [])]


def as_markdown(page: str, results: Sequence[ExperimentResult], versions: str, load: str) -> str:
    """The page with these results in place of the last ones."""
    before = page.partition(HEADING)[0]
    today = datetime.now(UTC).date().isoformat()
    passed = sum(one.verdict == "pass" for one in results)
    head = f"{today}: {passed} of {len(results)} experiments passed. {versions}; {load}."
    rows = ["| # | experiment | figures | result | remarks |", "|---|---|---|---|---|"]
    rows += [_row(one) for one in results]
    return f"{before}{HEADING}\n\n{head}\n\n" + "\n".join(rows) + "\n"


def _row(one: ExperimentResult) -> str:
    criteria = [text.text if text.ok else f"**{text.text}**" for text in one.criteria]
    violations = [f"**{text}**" for text in _shown(one.violations)] or ["no violation of an invariant"]
    load = f"{one.pushes:,} pushes, {one.receipts:,} receipts; longest stall of the suite {one.stall * 1e3:.0f} ms"
    cells = (one.number, one.action, "<br>".join([*criteria, *violations, load]), VERDICTS[one.verdict], one.remark)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
