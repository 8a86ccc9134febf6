"""The comparison as one self-contained SVG file, for light and dark pages: no script, font or other resource.

Two panels over the number of gateways, both axes logarithmic: messages handled per push, and CPU per delivered message.
Measured points have dots and solid lines; the model has dashed lines, among the measured points and beyond them on a
shaded, labelled background. Below, the trend of each line's CPU is in words.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from bench.compare.model import ASSUMPTION, ModelCurve, model_at
from bench.compare.rows import Row

WIDTH, HEIGHT = 910, 566
PLOT_WIDTH, TOP, BOTTOM = 330, 130, 390  # of each plot
LEFT_EDGES = (70, 510)
FOOTER = BOTTOM + 64
TARGET = "unicast"
MAX_GATEWAYS = 1000  # at the right edge
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f }
  .title { font-size: 18px; font-weight: 600 } .heading { font-size: 14px; font-weight: 600 } .muted { fill: #57606a }
  .background { fill: #ffffff } .model { fill: #f0f2f5 } .grid { stroke: #d8dee4; stroke-width: 1 }
  .routed { stroke: #0969da; fill: #0969da } .broadcast { stroke: #c2410c; fill: #c2410c }
  path { fill: none !important; stroke-width: 2.5 } .dashed { stroke-dasharray: 5 5; stroke-width: 2 }
  text.routed, text.broadcast { stroke: none; font-weight: 600 } .hollow { fill: #ffffff !important; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .muted { fill: #9198a1 } .background { fill: #0d1117 } .model { fill: #1a2029 }
    .grid { stroke: #30363d } .routed { stroke: #58a6ff; fill: #58a6ff } .broadcast { stroke: #ff9d5c; fill: #ff9d5c }
    .hollow { fill: #0d1117 !important }
  }"""


class ChartSeries(NamedTuple):
    """One line: the measured points, then the model's points, each (gateways, value)."""

    mode: str
    bus: str
    measured: Sequence[tuple[float, float]]
    model: Sequence[tuple[float, float]]


class ChartPanel(NamedTuple):
    """The coordinates of one plot. The y axis has powers of ten from `low` to `high`."""

    left: int
    low: int
    high: int

    def x(self, gateways: float) -> float:
        return self.left + PLOT_WIDTH * math.log10(gateways) / math.log10(MAX_GATEWAYS)

    def y(self, value: float) -> float:
        share = (math.log10(max(value, 10**self.low)) - self.low) / (self.high - self.low)
        return BOTTOM - (BOTTOM - TOP) * share


def draw_chart(rows: Sequence[Row], curves: Sequence[ModelCurve]) -> str:
    """The text of the SVG file. Invalid rows are not drawn."""
    shown = [row for row in rows if row.valid and row.target == TARGET]
    last = max((row.gateways for row in shown), default=1)
    handled = [_series(curve, shown, "handled_per_push", last) for curve in curves if curve.target == TARGET]
    cpu = [_series(curve, shown, "cpu_us_per_delivery", last) for curve in curves if curve.target == TARGET]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">',
        '<title id="t">Routed delivery against broadcast</title>',
        f'<desc id="d">{escape(_description(shown))}</desc><style>{STYLE}\n</style>',
        f'<rect class="background" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        _text(30, 36, "A push to one user, as gateways are added", "title"),
        *_legend(handled),
        *_plot("Messages that gateways handle, per push", LEFT_EDGES[0], handled, last, _number),
        *_plot("CPU of routers and gateways, per delivered push", LEFT_EDGES[1], cpu, last, _duration),
        _text(30, FOOTER, f"Solid: measured with 1 to {last} gateways on one machine.", "muted"),
        _text(30, FOOTER + 19, f"Dashed: a model, {ASSUMPTION}", "muted"),
        *_trends([curve for curve in curves if curve.target == TARGET]),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _series(curve: ModelCurve, rows: Sequence[Row], field: str, last: int) -> ChartSeries:
    matching = [row for row in rows if (row.mode, row.bus) == (curve.mode, curve.bus)]
    measured = sorted((row.gateways, float(getattr(row, field))) for row in matching)
    extended = [point.gateways for point in curve.points if point.gateways > last]
    places = sorted({point.gateways for point in curve.measured} | {last, *extended})
    model = [(gateways, float(getattr(model_at(curve, gateways), field))) for gateways in places]
    return ChartSeries(curve.mode, curve.bus, measured, model if extended else [])


def _trends(curves: Sequence[ModelCurve]) -> Iterable[str]:
    """The trend of CPU of each line, in words."""
    for number, curve in enumerate(curves):
        text = f"CPU {curve.mode}, {curve.bus.capitalize()}: {curve.trend}."
        yield _text(30, FOOTER + 19 * (number + 2), text, "muted")


def _plot(
    name: str, left: int, lines: Sequence[ChartSeries], last: int, format_value: Callable[[float], str]
) -> Iterable[str]:
    values = [value for series in lines for _, value in (*series.measured, *series.model) if value > 0] or [1.0]
    low = math.floor(math.log10(min(values)) + 0.001)
    panel = ChartPanel(left, low, max(low + 1, math.ceil(math.log10(max(values)) - 0.001)))
    yield _text(left - 40, TOP - 22, name, "heading")
    start = panel.x(last)
    size = f'width="{left + PLOT_WIDTH - start:.1f}" height="{BOTTOM - TOP}"'
    yield f'<rect class="model" x="{start:.1f}" y="{TOP}" {size}/>'
    yield _text(start + 8, TOP + 17, "model, not measured", "muted")
    yield from _axes(panel, format_value)
    for series in lines:
        yield from _draw(panel, series)
    yield from _ends(panel, lines, format_value)


def _axes(panel: ChartPanel, format_value: Callable[[float], str]) -> Iterable[str]:
    for power in range(panel.low, panel.high + 1):
        y = panel.y(10**power)
        yield f'<line class="grid" x1="{panel.left}" x2="{panel.left + PLOT_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(panel.left - 8, y + 4, format_value(10**power), "muted", "end")
    for gateways in (1, 2, 4, 8, 100, 1000):
        yield _text(panel.x(gateways), BOTTOM + 18, f"{gateways:,}", "muted", "middle")
    yield _text(panel.left + PLOT_WIDTH / 2, BOTTOM + 38, "gateways", "muted", "middle")


def _draw(panel: ChartPanel, series: ChartSeries) -> Iterable[str]:
    for kind, points in ("dashed", series.model), ("", series.measured):
        if len(points) > 1:
            path = " L".join(f"{panel.x(gateways):.1f} {panel.y(value):.1f}" for gateways, value in points)
            yield f'<path class="{series.mode} {kind}" d="M{path}"/>'
    for gateways, value in series.measured:
        yield _dot(panel.x(gateways), panel.y(value), series)


def _ends(panel: ChartPanel, lines: Sequence[ChartSeries], format_value: Callable[[float], str]) -> Iterable[str]:
    """The value at the right edge beside each line; lines that are too close share a label."""
    labels: list[float] = []
    for series in lines:
        gateways, value = series.model[-1] if series.model else (0.0, 0.0)
        y = panel.y(value) + 4
        if gateways and all(abs(y - other) > 13 for other in labels):
            labels.append(y)
            yield _text(panel.x(gateways) + 6, y, format_value(value), series.mode)


def _legend(lines: Sequence[ChartSeries]) -> Iterable[str]:
    x = 30
    for series in lines:
        yield _dot(x + 6, 60, series)
        yield _text(x + 18, 64, f"{series.mode}, {series.bus.capitalize()}", series.mode)
        x += 185


def _dot(x: float, y: float, series: ChartSeries) -> str:
    """A filled dot for Redis, a hollow one for Kafka."""
    hollow = " hollow" if series.bus == "kafka" else ""
    return f'<circle class="{series.mode}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _duration(us: float) -> str:
    """Two significant digits, in us, ms or s."""
    for unit, factor in (("s", 1e6), ("ms", 1e3)):
        if us >= factor:
            return f"{float(f'{us / factor:.2g}'):g} {unit}"
    return f"{float(f'{us:.2g}'):g} µs"


def _description(rows: Sequence[Row]) -> str:
    parts = (f"{row.mode} over {row.bus}, {row.gateways}: {row.handled_per_push:g} handled, "
            f"{row.cpu_us_per_delivery:g} us" for row in rows)  # fmt: skip
    return "Measured, by gateways: " + "; ".join(parts) + "."
