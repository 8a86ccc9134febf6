"""The model that extends the measured rows to more gateways than this machine holds."""

from collections.abc import Iterable, Sequence

import msgspec

from bench.compare.rows import Row

ASSUMPTION = "CPU = a + b x messages handled, by least squares from the measured points of each line."
DESCRIPTION = (
    "Model, not measured: a push is handled once by each gateway that it reaches (routed: the owners; broadcast: all), "
    "and its CPU per delivered message is a + b x that number, with a and b fitted by least squares to the measured "
    "rows of the same mode, bus and target."
)
EXTENDED = (16, 32, 64, 125, 250, 500, 1000)  # gateways


class ModelPoint(msgspec.Struct, frozen=True):
    """The model's figures for one number of gateways."""

    gateways: int
    handled_per_push: float
    cpu_us_per_delivery: float


class ModelCurve(msgspec.Struct, frozen=True, kw_only=True):
    """The model of one mode, bus and target, with its parameters a and b."""

    mode: str
    bus: str
    target: str
    a_us: float
    b_us: float  # per message handled
    points: tuple[ModelPoint, ...]
    viewers: int  # of the file


def messages_handled(mode: str, target: str, gateways: int, viewers: int) -> int:
    """Messages that the gateways together handle per push; a file's viewers are spread evenly over the gateways."""
    if mode == "broadcast":
        return gateways
    return min(gateways, viewers) if target == "file" else 1


def curves(rows: Iterable[Row], viewers: int) -> list[ModelCurve]:
    """A curve for each mode, bus and target with at least one valid row."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.valid:
            groups.setdefault((row.mode, row.bus, row.target), []).append(row)
    result = []
    for (mode, bus, target), measured in groups.items():
        if not handled_varies(measured) and messages_handled(mode, target, 1000, viewers) > 1:
            continue  # one number of gateways has no slope
        a, b = fit([(row.handled_per_push, row.cpu_us_per_delivery) for row in measured])
        curve = ModelCurve(
            mode=mode, bus=bus, target=target, a_us=round(a, 2), b_us=round(b, 2), points=(), viewers=viewers
        )
        points = tuple(model_at(curve, gateways) for gateways in EXTENDED)
        result.append(msgspec.structs.replace(curve, points=points))
    return result


def handled_varies(measured: Sequence[Row]) -> bool:
    """Whether the rows differ in messages handled per push, so that a line has a slope."""
    return len({round(row.handled_per_push) for row in measured}) > 1


def model_at(curve: ModelCurve, gateways: int) -> ModelPoint:
    """The model's figures for one number of gateways; does not depend on `curve.points`."""
    count = messages_handled(curve.mode, curve.target, gateways, curve.viewers)
    return ModelPoint(gateways, count, round(curve.a_us + curve.b_us * count, 1))


def fit(measured: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """a and b of y = a + b x by least squares; b is never negative, and 0 when x hardly varies."""
    xs, ys = [x for x, _ in measured], [y for _, y in measured]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if spread < 0.01 * len(xs):
        return mean_y, 0.0
    b = max(0.0, sum((x - mean_x) * (y - mean_y) for x, y in measured) / spread)
    return mean_y - b * mean_x, b
