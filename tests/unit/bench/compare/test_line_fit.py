"""The fit: exact lines, noise, and too few points to tell."""

import pytest

from bench.compare.line_fit import QUANTILES, fit_line


def test_an_exact_line_is_found() -> None:
    line = fit_line([(x, 120 + 30 * x) for x in (1, 2, 4, 8)])
    assert (line.a, line.b) == (pytest.approx(120), pytest.approx(30))
    assert line.at(10) == pytest.approx(420)
    assert not line.flat


@pytest.mark.parametrize("points", [[(1, 100), (2, 140), (4, 90), (8, 120)], [(1, 100), (1, 120)], [(3, 100)]])
def test_a_flat_line_is_the_mean_and_lies_among_its_points(points: list[tuple[float, float]]) -> None:
    line = fit_line(points)
    figures = [y for _, y in points]
    assert line.flat
    assert min(figures) <= line.at(1000) == line.mean <= max(figures)
    assert (line.below, line.above) == (min(figures) - line.mean, max(figures) - line.mean)


def test_the_interval_of_a_slope_is_students() -> None:
    """By hand: 10 x leaves 5, -5, -5 and 5, with two degrees of freedom; the x have a sum of squares of 5."""
    points = [(0, 5.0), (1, 5.0), (2, 15.0), (3, 35.0)]
    line = fit_line(points)
    assert line.slope == pytest.approx(10)
    assert line.slope_error == pytest.approx(4.303 * (100 / 2 / 5) ** 0.5)
    assert line.flat


def test_many_points_have_the_last_quantile() -> None:
    noisy = [(x, 100 + (-1) ** x) for x in range(40)]
    assert (fit_line(noisy).slope_error or 0) > 0
    assert QUANTILES[-1] > 1.96
