"""A trace as text: its spans as a tree, each with a bar that shows when it ran."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

BAR = 32  # characters of the bars' column
EIGHTHS = " ▏▎▍▌▋▊▉█"


class DrawnSpan(NamedTuple):
    """One span. Times are microseconds, `start_us` since the trace's first span."""

    span: str
    parent: str  # "" = none, or one that is not in this trace
    name: str
    where: str  # service and instance
    start_us: int
    duration_us: int
    attributes: Mapping[str, object]
    error: str  # "" = none


def read(trace: Mapping[str, Any]) -> list[DrawnSpan]:
    """The spans of one trace as Jaeger's query API tells it (`data[0]`), in the order of their starts."""
    found = sorted(trace["spans"], key=lambda span: (span["startTime"], -span["duration"]))
    begin = found[0]["startTime"] if found else 0
    ids = {span["spanID"] for span in found}
    return [_span(span, trace["processes"], begin, ids) for span in found]


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
    """The lines: a head, then a line a span, children below their parents."""
    whole = max(span.start_us + span.duration_us for span in spans)
    yield f"trace {trace_id}: {len(spans)} spans, {_ms(whole)}"
    rows = list(_tree(spans, "", ""))
    names, places = (max(map(len, column)) for column in zip(*((n, s.where) for n, s in rows), strict=True))
    for name, span in rows:
        failed = f"  ! {span.error}" if span.error else ""
        yield f"{name:{names}}  {span.where:{places}}  {_bar(span, whole)}  {_ms(span.duration_us):>10}{failed}"


def _tree(spans: list[DrawnSpan], parent: str, indent: str) -> Iterator[tuple[str, DrawnSpan]]:
    children = [span for span in spans if span.parent == parent]
    for span in children:
        last = span is children[-1]
        branch = ("└ " if last else "├ ") if parent else ""
        yield f"{indent}{branch}{span.name}", span
        yield from _tree(spans, span.span, indent + ("" if not parent else "  " if last else "│ "))


def _bar(span: DrawnSpan, whole: int) -> str:
    """When the span ran, to an eighth of a character at its end; one that is too short to be seen is a tick."""
    scale = BAR * 8 / max(1, whole)
    start = min(round(span.start_us * scale) // 8, BAR - 1)
    eighths = max(1, min(round(span.duration_us * scale), (BAR - start) * 8))
    text = "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"│{' ' * start}{text:{BAR - start}}│"


def _ms(us: int) -> str:
    return f"{us / 1000:.3f} ms" if us < 1_000_000 else f"{us / 1e6:.3f} s"
