"""The model that extends what was measured to more gateways than fit on this machine. It measures nothing itself."""

from collections.abc import Iterable, Sequence

import msgspec

from bench.compare.rows import Row

ASSUMED = "CPU = a + b x messages handled, by least squares from the measured points of each line."
SENTENCE = (
    "Model, not measured: a push is handled once by each gateway that it reaches (routed: the owners; broadcast: all), "
    "and its CPU per delivered message is a + b x that number, with a and b fitted by least squares to the measured "
    "rows of the same mode, bus and target."
)
EXTENDED = (16, 32, 64, 125, 250, 500, 1000)  # gateways


class Point(msgspec.Struct, frozen=True):
    """What the model says for so many gateways."""

    gateways: int
    handled_per_push: float
    cpu_us_per_delivery: float


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One mode, bus and target."""

    mode: str
    bus: str
    target: str
    a_us: float
    b_us: float  # of each message handled
    points: tuple[Point, ...]
    viewers: int  # of a file


def handled(mode: str, target: str, gateways: int, viewers: int) -> int:
    """Messages that the gateways together handle for one push: viewers of a file are spread evenly over them."""
    if mode == "broadcast":
        return gateways
    return min(gateways, viewers) if target == "file" else 1


def curves(rows: Iterable[Row], viewers: int) -> list[Curve]:
    """A curve for each mode, bus and target of which at least one row is valid."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.valid:
            groups.setdefault((row.mode, row.bus, row.target), []).append(row)
    made = []
    for (mode, bus, target), measured in groups.items():
        if not grows_visibly(measured) and handled(mode, target, 1000, viewers) > 1:
            continue  # from one number of gateways nobody can say what more of them cost
        a, b = fit([(row.handled_per_push, row.cpu_us_per_delivery) for row in measured])
        curve = Curve(mode=mode, bus=bus, target=target, a_us=round(a, 2), b_us=round(b, 2), points=(), viewers=viewers)
        points = tuple(model_at(curve, gateways) for gateways in EXTENDED)
        made.append(msgspec.structs.replace(curve, points=points))
    return made


def grows_visibly(measured: Sequence[Row]) -> bool:
    """Whether the rows differ in how many messages a push made: what a line needs to have a slope."""
    return len({round(row.handled_per_push) for row in measured}) > 1


def model_at(curve: Curve, gateways: int) -> Point:
    """What the model says for so many gateways."""
    count = handled(curve.mode, curve.target, gateways, curve.viewers)
    return Point(gateways, count, round(curve.a_us + curve.b_us * count, 1))


def fit(measured: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """a and b of y = a + b x by least squares; b is 0 where x hardly varies, and never negative."""
    xs, ys = [x for x, _ in measured], [y for _, y in measured]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if spread < 0.01 * len(xs):
        return mean_y, 0.0
    b = max(0.0, sum((x - mean_x) * (y - mean_y) for x, y in measured) / spread)
    return mean_y - b * mean_x, b
