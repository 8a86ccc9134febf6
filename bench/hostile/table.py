"""The results as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.hostile.costs import Costs
from bench.hostile.malformed import CASES
from bench.hostile.measure import Result

HEAD = (*("ATTACK", "SERVER", "HEALTH p99", "max ms", "PUSH p99", "max ms"), *("RSS", "highest", "after", "OUTCOME"))


def attacks_table(results: Sequence[Result], faults: Mapping[str, Sequence[str]]) -> str:
    """A row for each attack and server; below a row of ours that failed, why."""
    lines = _aligned([HEAD, *map(_row, results)])
    shown = [lines[0]]
    for result, line in zip(results, lines[1:], strict=True):
        shown.append(line)
        if result.server == "homing":
            shown += [f"    FAILED: {fault}" for fault in faults.get(result.attack, ())]
    return "\n".join(shown)


def _row(result: Result) -> tuple[str, ...]:
    calls = (result.health["p99_ms"], _slowest(result.health), result.push["p99_ms"], _slowest(result.push))
    found = result.found if result.serves else f"NO LONGER SERVES; {result.found}"
    return (result.attack, result.server, *map(str, calls), *(f"{size:.0f}" for size in result.rss_mib), found)


def _slowest(seen: Mapping[str, Any]) -> str:
    failed = sum(seen["failures"].values())
    return f"{seen['max_ms']:,.0f}" + (f" ({failed} failed)" if failed else "")


def attacks_markdown(results: Sequence[Result], faults: Mapping[str, Sequence[str]]) -> str:
    """A row for each attack, the servers side by side: the slowest health check and push, and the highest memory."""
    servers = list(dict.fromkeys(result.server for result in results))
    by_attack: dict[str, dict[str, Result]] = {}
    for result in results:
        by_attack.setdefault(result.attack, {})[result.server] = result
    columns = [f"{server}: {name}" for server in servers for name in ("health, push ms", "RSS MiB", "what it did")]
    rows = [["attack", *columns, "withstood"], ["---"] * (len(columns) + 2)]
    for attack, found in by_attack.items():
        cells = [cell for server in servers for cell in _cells(found.get(server))]
        rows.append([attack, *cells, "; ".join(faults.get(attack, [])) or "yes"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(result: Result | None) -> tuple[str, str, str]:
    if result is None:
        return "", "", ""
    slowest = f"{_slowest(result.health)}, {_slowest(result.push)}"
    return slowest, f"{result.rss_mib.before:.0f}, {result.rss_mib.highest:.0f}", result.found


def malformed_table(answers: Mapping[str, Mapping[str, str]]) -> str:
    """A row for each malformed request: each server's answer, a wrong one with an X, and those that are right."""
    rows = [("MALFORMED REQUEST", *(server.upper() for server in answers), "RIGHT")]
    for case in CASES:
        found = [answers[server].get(case.name, "") for server in answers]
        marked = [one if not one or one in case.expected else f"{one}  X" for one in found]
        rows.append((case.name, *marked, " | ".join(case.expected)))
    return "\n".join(_aligned(rows))


def costs_table(costs: Mapping[str, Costs]) -> str:
    """A row for each kind of call."""
    kinds = list(next(iter(costs.values())))
    rows = [(kind, *(f"{costs[server][kind]:.0f}" for server in costs)) for kind in kinds]
    return "\n".join(_aligned([("CPU us A CALL", *costs), *rows]))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
