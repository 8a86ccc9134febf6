"""Core: the results as tables in Markdown, a row a figure and a column a server."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.peers.results import PLAIN, TLS, TRANSPORTS, PeerResults

KIB = 1024


class FigureRow(NamedTuple):
    """A figure in a unit, with so many decimals."""

    title: str
    name: str
    unit: float = 1.0
    decimals: int = 1


MEMORY_ROWS = (
    FigureRow("idle, KB", "idle_bytes", KIB),
    FigureRow("after 64 KiB each way, KB", "after_bytes", KIB),
    FigureRow("deflate, idle, KB", "deflate_idle_bytes", KIB),
    FigureRow("deflate, after 64 KiB each way, KB", "deflate_after_bytes", KIB),
)
CPU_ROWS = (
    FigureRow("a connect, us", "connect_us", decimals=0),
    FigureRow("a connect, resumed, us", "resumed_us", decimals=0),
    FigureRow("an echo, us", "echo_us"),
    FigureRow("a delivery, us", "delivery_us"),
)
HEADS = {PLAIN: "plain", TLS: "TLS"}


def tables(results: PeerResults, servers: Sequence[str], baseline: str) -> str:
    """A table for each transport, and below them why what is missing could not be measured."""
    parts = [_table(results, servers, transport, baseline) for transport in TRANSPORTS]
    return "\n\n".join([*parts, *_reasons(results.reasons)])


def _table(results: PeerResults, servers: Sequence[str], transport: str, baseline: str) -> str:
    lines = [_line([HEADS[transport], *servers]), _line(["---"] * (len(servers) + 1))]
    for row in (*MEMORY_ROWS, *CPU_ROWS):
        cells = [results.figure(server, transport, row.name) for server in servers]
        if any(cell is not None for cell in cells):
            lines.append(_line([row.title, *(_shown(cell, row) for cell in cells)]))
    ratio = FigureRow("the same to the bare loop", "", decimals=2)
    ratios = [results.ratio(server, transport, baseline, "delivery_us") for server in servers]
    return "\n".join([*lines, _line([ratio.title, *(_shown(cell, ratio) for cell in ratios)])])


def _shown(value: float | None, row: FigureRow) -> str:
    return "-" if value is None else f"{value / row.unit:,.{row.decimals}f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _reasons(reasons: Mapping[tuple[str, str], Sequence[str]]) -> list[str]:
    found = [f"{server}, {HEADS[where]}: {reason}" for (server, where), each in reasons.items() for reason in each]
    return ["\n".join(["Not measured:", *(f"- {line}" for line in found)])] if found else []
