"""The spans of a trace as a tree, whatever their shape: each span once, no recursion, cycles of parents broken."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

MAX_DEPTH = 32  # levels that are indented; below, a number says how deep a span is


class TreeSpan(Protocol):
    """What a tree needs of a span."""

    @property
    def span(self) -> str: ...
    @property
    def parent(self) -> str: ...


Span = TypeVar("Span", bound=TreeSpan)


class SpanTree(NamedTuple):
    """The rows of a drawing: a prefix of branches, and the span's index; and what of the spans was odd."""

    rows: list[tuple[str, int]]
    repeated: int  # spans whose id was there before; they are left out
    cycles: int  # of spans that are each other's parents; each is broken at its first span


def build_tree(spans: list[Span]) -> SpanTree:
    """Children below their parents, in the order given. A parent that is missing, or has no id, is none."""
    first = _first_by_id(spans)
    kept = [index for index, span in enumerate(spans) if not span.span or first[span.span] == index]
    parents = {index: first.get(spans[index].parent) if spans[index].parent else None for index in kept}
    roots = _break_cycles(kept, parents)
    children: dict[int, list[int]] = defaultdict(list)
    for index, parent in parents.items():
        if parent is not None:
            children[parent].append(index)
    tops = [index for index in kept if parents[index] is None]
    return SpanTree(_walk(tops, children), len(spans) - len(kept), roots)


def _first_by_id(spans: Iterable[TreeSpan]) -> dict[str, int]:
    first: dict[str, int] = {}
    for index, span in enumerate(spans):
        if span.span:
            first.setdefault(span.span, index)
    return first


def _break_cycles(kept: list[int], parents: dict[int, int | None]) -> int:
    """Make the first span of each cycle a span without a parent. Returns how many cycles there were."""
    cycles, done = 0, set[int]()
    for start in kept:
        path: dict[int, None] = {}  # an ordered set
        at: int | None = start
        while at is not None and at not in done and at not in path:
            path[at] = None
            at = parents[at]
        if at is not None and at in path:
            steps = list(path)
            parents[min(steps[steps.index(at) :])] = None
            cycles += 1
        done |= path.keys()
    return cycles


def _walk(tops: list[int], children: dict[int, list[int]]) -> list[tuple[str, int]]:
    rows = []
    stack = [(index, "", "", 0) for index in reversed(tops)]  # span, its branch, its children's indent, depth
    while stack:
        index, branch, indent, depth = stack.pop()
        rows.append((branch, index))
        below = children.get(index, [])
        stack += [(child, *_indents(indent, child == below[-1], depth + 1), depth + 1) for child in reversed(below)]
    return rows


def _indents(indent: str, is_last: bool, depth: int) -> tuple[str, str]:
    """A child's branch, and the indent of its own children."""
    if depth > MAX_DEPTH:
        return f"{indent}{depth}: ", indent
    return indent + ("└ " if is_last else "├ "), indent + ("  " if is_last else "│ ")
