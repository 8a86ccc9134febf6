"""A trace as text: its spans as a tree, each with a bar for its start and duration."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from homing.command.printable import printable, shortened
from homing.command.span_tree import SpanTree, build_tree

BAR_WIDTH = 32  # characters
MAX_TEXT = 100  # characters of a name, a place or an error that are shown
EIGHTHS = " ▏▎▍▌▋▊▉█"


class DrawnSpan(NamedTuple):
    """One span, ready to be drawn. `start_us` counts from the start of the trace's first span."""

    span: str
    parent: str  # "": none, or a span that is not in this trace
    name: str
    where: str  # service and instance
    start_us: int
    duration_us: int
    attributes: Mapping[str, object]
    error: str  # "": none


def draw(trace_id: str, spans: list[DrawnSpan]) -> Iterator[str]:
    """The lines: a header, then a line per span, children below their parents. `spans`: at least one."""
    total_us = max(span.start_us + span.duration_us for span in spans)
    tree = build_tree(spans)
    yield f"trace {printable(trace_id)}: {len(tree.rows)} spans, {_ms(total_us)}{_oddities(tree)}"
    rows = [
        (branch + shortened(spans[index].name, MAX_TEXT), shortened(spans[index].where, MAX_TEXT), spans[index])
        for branch, index in tree.rows
    ]
    names, places = (max(map(len, column)) for column in zip(*((name, where) for name, where, _ in rows), strict=True))
    for name, where, span in rows:
        failed = f"  ! {shortened(span.error, MAX_TEXT)}" if span.error else ""
        yield f"{name:{names}}  {where:{places}}  {_bar(span, total_us)}  {_ms(span.duration_us):>10}{failed}"


def _oddities(tree: SpanTree) -> str:
    """What the drawing leaves out or breaks, for the header."""
    repeated = f"; {tree.repeated} more with the id of another are left out" if tree.repeated else ""
    cycles = f"; {tree.cycles} cycle{'' if tree.cycles == 1 else 's'} of parents broken" if tree.cycles else ""
    return repeated + cycles


def _bar(span: DrawnSpan, total_us: int) -> str:
    """The span's bar. Its end is precise to an eighth of a character; the shortest bar is one eighth."""
    scale = BAR_WIDTH * 8 / max(1, total_us)
    start = max(0, min(round(span.start_us * scale) // 8, BAR_WIDTH - 1))
    eighths = max(1, min(round(span.duration_us * scale), (BAR_WIDTH - start) * 8))
    text = "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"│{' ' * start}{text:{BAR_WIDTH - start}}│"


def _ms(us: int) -> str:
    return f"{us / 1000:.3f} ms" if us < 1_000_000 else f"{us / 1e6:.3f} s"
