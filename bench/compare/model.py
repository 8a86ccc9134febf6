"""The model that extends the measured rows to more gateways than this machine holds."""

from collections.abc import Iterable

import msgspec

from bench.compare.line_fit import LineFit, fit_line
from bench.compare.rows import Row

ASSUMPTION = (
    "least squares of each line's measured points by gateways; flat where they rise by no more than their noise."
)
DESCRIPTION = (
    "Model, not measured: CPU per delivered message is a + b x gateways (in a routed push to the file, of the gateways "
    "with a viewer), with a and b fitted by least squares to the measured rows of the same mode, bus and target. b is "
    "0, and the model is their mean, where the slope's interval of 95 % includes 0; with fewer than four numbers of "
    "gateways, where the line rises by at most 20 % of the mean."
)
EXTENDED = (16, 32, 64, 125, 250, 500, 1000)  # gateways


class ModelPoint(msgspec.Struct, frozen=True):
    """The model's figures for one number of gateways."""

    gateways: int
    handled_per_push: float
    cpu_us_per_delivery: float


class MeasuredPoint(msgspec.Struct, frozen=True):
    """The mean of the measured rows at one number of gateways, and the model there."""

    gateways: int
    measured_us: float
    model_us: float


class ModelCurve(msgspec.Struct, frozen=True, kw_only=True):
    """The model of one mode, bus and target, with its parameters a and b, beside what was measured."""

    mode: str
    bus: str
    target: str
    a_us: float
    b_us: float  # per gateway that a push reaches; 0: flat
    slope_us: float  # by least squares, also where b_us is 0
    slope_error_us: float | None  # half of its interval of 95 %; None with fewer than four points
    trend: str  # flat or rising, and by how much, in words
    measured: tuple[MeasuredPoint, ...]
    points: tuple[ModelPoint, ...]
    viewers: int  # of the file


def messages_handled(mode: str, target: str, gateways: int, viewers: int) -> int:
    """Messages that the gateways together handle per push; a file's viewers are spread evenly over the gateways."""
    if mode == "broadcast":
        return gateways
    return min(gateways, viewers) if target == "file" else 1


def scale(mode: str, target: str, gateways: int, viewers: int) -> int:
    """What the CPU is fitted to: the gateways, but those without a viewer have no part in a routed push to the file."""
    return min(gateways, viewers) if (mode, target) == ("routed", "file") else gateways


def curves(rows: Iterable[Row], viewers: int) -> list[ModelCurve]:
    """A curve for each mode, bus and target with at least one valid row."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.valid:
            groups.setdefault((row.mode, row.bus, row.target), []).append(row)
    return [
        _curve(measured, viewers)
        for (mode, _, target), measured in groups.items()
        # one number of gateways has no slope; only a routed push to one user needs none
        if len({row.gateways for row in measured}) > 1 or messages_handled(mode, target, 1000, viewers) == 1
    ]


def _curve(rows: list[Row], viewers: int) -> ModelCurve:
    mode, bus, target = rows[0].mode, rows[0].bus, rows[0].target
    line = fit_line([(scale(mode, target, row.gateways, viewers), row.cpu_us_per_delivery) for row in rows])
    curve = ModelCurve(
        mode=mode,
        bus=bus,
        target=target,
        a_us=round(line.a, 2),
        b_us=round(line.b, 2),
        slope_us=round(line.slope, 2),
        slope_error_us=None if line.slope_error is None else round(line.slope_error, 2),
        trend=trend(line, len(rows)),
        measured=(),
        points=(),
        viewers=viewers,
    )
    return msgspec.structs.replace(
        curve,
        measured=tuple(_beside(curve, rows, gateways) for gateways in sorted({row.gateways for row in rows})),
        points=tuple(model_at(curve, gateways) for gateways in EXTENDED),
    )


def _beside(curve: ModelCurve, rows: list[Row], gateways: int) -> MeasuredPoint:
    figures = [row.cpu_us_per_delivery for row in rows if row.gateways == gateways]
    model = model_at(curve, gateways).cpu_us_per_delivery
    return MeasuredPoint(gateways, round(sum(figures) / len(figures), 1), model)


def model_at(curve: ModelCurve, gateways: int) -> ModelPoint:
    """The model's figures for one number of gateways; does not depend on `curve.points`."""
    count = messages_handled(curve.mode, curve.target, gateways, curve.viewers)
    cpu = curve.a_us + curve.b_us * scale(curve.mode, curve.target, gateways, curve.viewers)
    return ModelPoint(gateways, count, round(cpu, 1))


def trend(line: LineFit, points: int) -> str:
    """In words: flat or rising, by how much, and how far the measured points are from the line."""
    if points == 1:
        return "one point, so no slope"
    few = ", too few points for its noise" if line.slope_error is None else ""
    interval = "" if line.slope_error is None else f" +- {line.slope_error:.0f}"
    slope = f"{round(line.slope)}{interval} us a gateway{few}"
    below, above = (round(100 * figure / line.mean) if line.mean else 0 for figure in (line.below, line.above))
    points_text = f"points {round(line.below):+} to {round(line.above):+} us ({below:+} to {above:+} %) from it"
    if not line.flat:
        return f"rising by {slope}; {points_text}"
    if line.slope_error is not None and line.slope < -line.slope_error:
        return f"falling by {slope}, extended as flat; {points_text}"
    return f"flat within noise, slope {slope}; {points_text}"
