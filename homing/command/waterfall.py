"""A trace as text: its spans as a tree, each with a bar for its start and duration."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

BAR_WIDTH = 32  # characters
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


def read(trace: Mapping[str, Any]) -> list[DrawnSpan]:
    """The spans of one trace in Jaeger's JSON (`data[0]` of its query API), in the order of their starts."""
    spans = sorted(trace["spans"], key=lambda span: (span["startTime"], -span["duration"]))
    begin = spans[0]["startTime"] if spans else 0
    ids = {span["spanID"] for span in spans}
    return [_span(span, trace["processes"], begin, ids) for span in spans]


def _span(span: Mapping[str, Any], processes: Mapping[str, Any], begin: int, ids: set[str]) -> DrawnSpan:
    process = processes.get(span["processID"], {})
    instance = _tags(process).get("service.instance.id", "")
    parents = [one["spanID"] for one in span.get("references", ()) if one["refType"] == "CHILD_OF"]
    attributes = _tags(span)
    failed = attributes.get("error") is True or attributes.get("otel.status_code") == "ERROR"
    return DrawnSpan(
        span["spanID"],
        next((parent for parent in parents if parent in ids), ""),
        span["operationName"],
        f"{process.get('serviceName', '?')} {instance}".rstrip(),
        span["startTime"] - begin,
        span["duration"],
        attributes,
        str(attributes.get("otel.status_description") or "error") if failed else "",
    )


def _tags(holder: Mapping[str, Any]) -> dict[str, object]:
    return {tag["key"]: tag["value"] for tag in holder.get("tags", ())}


def draw(trace_id: str, spans: list[DrawnSpan]) -> Iterator[str]:
    """The lines: a header, then a line per span, children below their parents."""
    total_us = max(span.start_us + span.duration_us for span in spans)
    yield f"trace {trace_id}: {len(spans)} spans, {_ms(total_us)}"
    rows = list(_tree(spans, "", ""))
    names, places = (max(map(len, column)) for column in zip(*((n, s.where) for n, s in rows), strict=True))
    for name, span in rows:
        failed = f"  ! {span.error}" if span.error else ""
        yield f"{name:{names}}  {span.where:{places}}  {_bar(span, total_us)}  {_ms(span.duration_us):>10}{failed}"


def _tree(spans: list[DrawnSpan], parent: str, indent: str) -> Iterator[tuple[str, DrawnSpan]]:
    children = [span for span in spans if span.parent == parent]
    for span in children:
        last = span is children[-1]
        branch = ("└ " if last else "├ ") if parent else ""
        yield f"{indent}{branch}{span.name}", span
        yield from _tree(spans, span.span, indent + ("" if not parent else "  " if last else "│ "))


def _bar(span: DrawnSpan, total_us: int) -> str:
    """The span's bar. Its end is precise to an eighth of a character; the shortest bar is one eighth."""
    scale = BAR_WIDTH * 8 / max(1, total_us)
    start = min(round(span.start_us * scale) // 8, BAR_WIDTH - 1)
    eighths = max(1, min(round(span.duration_us * scale), (BAR_WIDTH - start) * 8))
    text = "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"│{' ' * start}{text:{BAR_WIDTH - start}}│"


def _ms(us: int) -> str:
    return f"{us / 1000:.3f} ms" if us < 1_000_000 else f"{us / 1e6:.3f} s"
