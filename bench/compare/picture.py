"""The comparison as one SVG file: no script, no font, nothing from elsewhere; light or dark as the reader's page is.

Two panels over the number of gateways, both axes logarithmic: messages handled a push, and CPU a delivered message.
What was measured is solid, with dots; the model's continuation is dashed and stands on a shaded ground that says so.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from bench.compare.model import ASSUMED, Curve, model_at
from bench.compare.rows import Row

WIDTH, HEIGHT = 910, 490
PANEL, TOP, BOTTOM = 330, 130, 390  # width of a plot; its upper and lower edge
LEFTS = (70, 510)
TARGET = "unicast"
MOST = 1000  # gateways, at the right edge
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f }
  .title { font-size: 18px; font-weight: 600 } .head { font-size: 14px; font-weight: 600 } .quiet { fill: #57606a }
  .ground { fill: #ffffff } .model { fill: #f0f2f5 } .grid { stroke: #d8dee4; stroke-width: 1 }
  .routed { stroke: #0969da; fill: #0969da } .broadcast { stroke: #c2410c; fill: #c2410c }
  path { fill: none !important; stroke-width: 2.5 } .guess { stroke-dasharray: 5 5; stroke-width: 2 }
  text.routed, text.broadcast { stroke: none; font-weight: 600 } .hollow { fill: #ffffff !important; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .quiet { fill: #9198a1 } .ground { fill: #0d1117 } .model { fill: #1a2029 }
    .grid { stroke: #30363d } .routed { stroke: #58a6ff; fill: #58a6ff } .broadcast { stroke: #ff9d5c; fill: #ff9d5c }
    .hollow { fill: #0d1117 !important }
  }"""


class Series(NamedTuple):
    """One line: measured points, then the model's, each (gateways, value)."""

    mode: str
    bus: str
    measured: Sequence[tuple[float, float]]
    model: Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """Where a plot stands, and its y axis: powers of ten from `low` to `high`."""

    left: int
    low: int
    high: int

    def x(self, gateways: float) -> float:
        return self.left + PANEL * math.log10(gateways) / math.log10(MOST)

    def y(self, value: float) -> float:
        share = (math.log10(max(value, 10**self.low)) - self.low) / (self.high - self.low)
        return BOTTOM - (BOTTOM - TOP) * share


def picture(rows: Sequence[Row], curves: Sequence[Curve]) -> str:
    """The whole file. Of rows that are not valid nothing is drawn."""
    shown = [row for row in rows if row.valid and row.target == TARGET]
    last = max((row.gateways for row in shown), default=1)
    handled = [_series(curve, shown, "handled_per_push", last) for curve in curves if curve.target == TARGET]
    cpu = [_series(curve, shown, "cpu_us_per_delivery", last) for curve in curves if curve.target == TARGET]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">',
        '<title id="t">Routed delivery against broadcast</title>',
        f'<desc id="d">{escape(_in_words(shown))}</desc><style>{STYLE}\n</style>',
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        _text(30, 36, "A push to one user, as gateways are added", "title"),
        *_legend(handled),
        *_plot("Messages that gateways handle, a push", LEFTS[0], handled, last, _number),
        *_plot("CPU of routers and gateways, a delivered push", LEFTS[1], cpu, last, _duration),
        _text(30, HEIGHT - 36, f"Solid: measured with 1 to {last} gateways on one machine.", "quiet"),
        _text(30, HEIGHT - 16, f"Dashed: a model. {ASSUMED}", "quiet"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _series(curve: Curve, rows: Sequence[Row], field: str, last: int) -> Series:
    mine = [row for row in rows if (row.mode, row.bus) == (curve.mode, curve.bus)]
    measured = sorted((row.gateways, float(getattr(row, field))) for row in mine)
    points = [point for point in curve.points if point.gateways > last]
    model = [(point.gateways, float(getattr(point, field))) for point in (model_at(curve, last), *points)]
    return Series(curve.mode, curve.bus, measured, model if points else [])


def _plot(name: str, left: int, listed: Sequence[Series], last: int, told: Callable[[float], str]) -> Iterable[str]:
    values = [value for series in listed for _, value in (*series.measured, *series.model) if value > 0] or [1.0]
    low = math.floor(math.log10(min(values)) + 0.001)
    panel = Panel(left, low, max(low + 1, math.ceil(math.log10(max(values)) - 0.001)))
    yield _text(left - 40, TOP - 22, name, "head")
    start = panel.x(last)
    yield f'<rect class="model" x="{start:.1f}" y="{TOP}" width="{left + PANEL - start:.1f}" height="{BOTTOM - TOP}"/>'
    yield _text(start + 8, TOP + 17, "model, not measured", "quiet")
    yield from _axes(panel, told)
    for series in listed:
        yield from _draw(panel, series)
    yield from _ends(panel, listed, told)


def _axes(panel: Panel, told: Callable[[float], str]) -> Iterable[str]:
    for power in range(panel.low, panel.high + 1):
        y = panel.y(10**power)
        yield f'<line class="grid" x1="{panel.left}" x2="{panel.left + PANEL}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(panel.left - 8, y + 4, told(10**power), "quiet", "end")
    for gateways in (1, 2, 4, 8, 100, 1000):
        yield _text(panel.x(gateways), BOTTOM + 18, f"{gateways:,}", "quiet", "middle")
    yield _text(panel.left + PANEL / 2, BOTTOM + 38, "gateways", "quiet", "middle")


def _draw(panel: Panel, series: Series) -> Iterable[str]:
    for kind, points in ("guess", series.model), ("", series.measured):
        if len(points) > 1:
            path = " L".join(f"{panel.x(gateways):.1f} {panel.y(value):.1f}" for gateways, value in points)
            yield f'<path class="{series.mode} {kind}" d="M{path}"/>'
    for gateways, value in series.measured:
        yield _dot(panel.x(gateways), panel.y(value), series)


def _ends(panel: Panel, listed: Sequence[Series], told: Callable[[float], str]) -> Iterable[str]:
    """The value at the right edge beside each line; those too close to one another share a label."""
    taken: list[float] = []
    for series in listed:
        gateways, value = series.model[-1] if series.model else (0.0, 0.0)
        y = panel.y(value) + 4
        if gateways and all(abs(y - other) > 13 for other in taken):
            taken.append(y)
            yield _text(panel.x(gateways) + 6, y, told(value), series.mode)


def _legend(listed: Sequence[Series]) -> Iterable[str]:
    x = 30
    for series in listed:
        yield _dot(x + 6, 60, series)
        yield _text(x + 18, 64, f"{series.mode}, {series.bus.capitalize()}", series.mode)
        x += 185


def _dot(x: float, y: float, series: Series) -> str:
    """Full over Redis, hollow over Kafka."""
    hollow = " hollow" if series.bus == "kafka" else ""
    return f'<circle class="{series.mode}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _duration(us: float) -> str:
    """Two digits, in the unit that suits."""
    for unit, factor in (("s", 1e6), ("ms", 1e3)):
        if us >= factor:
            return f"{float(f'{us / factor:.2g}'):g} {unit}"
    return f"{float(f'{us:.2g}'):g} µs"


def _in_words(rows: Sequence[Row]) -> str:
    told = (f"{row.mode} over {row.bus}, {row.gateways}: {row.handled_per_push:g} handled, "
            f"{row.cpu_us_per_delivery:g} us" for row in rows)  # fmt: skip
    return "Measured, by gateways: " + "; ".join(told) + "."
