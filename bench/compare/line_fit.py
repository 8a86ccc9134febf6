"""A line through measured points by least squares, and whether its slope is more than their noise."""

import math
from collections.abc import Sequence

import msgspec

QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t for a two-sided interval of 95 %, by degrees of freedom from 1; for more, the last, which is too wide."""
TESTED_POINTS = 4  # fewer have hardly a noise of their own: t is 12.7 with three
MACHINE_NOISE = 0.2  # the share below which differences are noise on one machine (docs/performance.md)


class LineFit(msgspec.Struct, frozen=True, kw_only=True):
    """y = a + b x, with b 0 when the points do not rise by more than their noise."""

    a: float
    b: float
    slope: float  # by least squares, also where b is 0
    slope_error: float | None  # half of its interval of 95 %; None with fewer than TESTED_POINTS points
    below: float  # the measured point farthest below the line: at most 0
    above: float  # and the one farthest above: at least 0
    mean: float

    @property
    def flat(self) -> bool:
        """Whether the model is the mean of the points."""
        return self.b == 0.0

    def at(self, x: float) -> float:
        """The line's value."""
        return self.a + self.b * x


def fit_line(points: Sequence[tuple[float, float]]) -> LineFit:
    """The line through at least one point (x, y)."""
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    error = _slope_error([(x - mean_x, y - mean_y) for x, y in points], slope, spread)
    rise = slope * (max(x for x, _ in points) - min(x for x, _ in points))
    is_noise = slope <= error if error is not None else rise <= MACHINE_NOISE * mean_y
    b = 0.0 if is_noise else slope
    a = mean_y - b * mean_x
    residuals = [y - a - b * x for x, y in points]
    return LineFit(
        a=a,
        b=b,
        slope=slope,
        slope_error=error,
        below=min(0.0, *residuals),
        above=max(0.0, *residuals),
        mean=mean_y,
    )


def _slope_error(centred: Sequence[tuple[float, float]], slope: float, spread: float) -> float | None:
    freedom = len(centred) - 2
    if len(centred) < TESTED_POINTS or not spread:
        return None
    variance = sum((y - slope * x) ** 2 for x, y in centred) / freedom
    return QUANTILES[min(freedom, len(QUANTILES)) - 1] * math.sqrt(variance / spread)
