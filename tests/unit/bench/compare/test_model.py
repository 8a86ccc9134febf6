"""The model: its trend, its extension to more gateways, and that invalid rows have no part in it."""

import pytest

from bench.compare.model import DESCRIPTION, EXTENDED, ModelCurve, curves, messages_handled
from tests.unit.bench.compare.rows import all_rows, row


def curve_of(mode: str, figures: dict[int, float], target: str = "unicast") -> ModelCurve:
    [curve] = curves([row(mode, gateways, cpu, target=target) for gateways, cpu in figures.items()], 20)
    return curve


def test_a_routed_model_among_points_that_rise_by_noise_is_flat_and_says_so() -> None:
    curve = curve_of("routed", {1: 617.6, 2: 580.5, 4: 740.5, 8: 806.7})  # as docs/compare.svg measured
    assert {point.model_us for point in curve.measured} == {686.3}
    assert [point.measured_us for point in curve.measured] == [617.6, 580.5, 740.5, 806.7]
    assert curve.points[-1].cpu_us_per_delivery == 686.3
    assert curve.trend == (
        "flat within noise, slope 31 +- 41 us a gateway; points -106 to +120 us (-15 to +18 %) from it"
    )


def test_a_routed_model_of_points_that_rise_goes_through_them() -> None:
    figures = {1: 500.0, 2: 560.0, 4: 640.0, 8: 880.0}
    curve = curve_of("routed", figures)
    spread = max(figures.values()) - min(figures.values())
    assert all(abs(point.model_us - point.measured_us) < 0.05 * spread for point in curve.measured)
    assert curve.points[-1].cpu_us_per_delivery == pytest.approx(curve.a_us + 1000 * curve.b_us, abs=0.1)
    assert curve.trend.startswith("rising by 54 +- 12 us a gateway; points -18 to +9 us ")


def test_points_that_fall_are_extended_as_flat() -> None:
    curve = curve_of("routed", {1: 900, 2: 800, 4: 600, 8: 200})
    assert (curve.b_us, curve.slope_us, curve.slope_error_us) == (0.0, -100.0, 0.0)
    assert curve.trend.startswith("falling by -100 +- 0 us a gateway, extended as flat; ")


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({1: 100.0}, "one point, so no slope"),
        ({1: 100, 2: 110}, "flat within noise, slope 10 us a gateway, too few points for its noise; "),
        ({1: 100, 2: 200}, "rising by 100 us a gateway, too few points for its noise; points +0 to +0 us (+0 to +0 %)"),
    ],
)
def test_few_points_rise_when_the_line_rises_by_a_fifth(figures: dict[int, float], words: str) -> None:
    curve = curve_of("routed", figures)
    assert curve.trend.startswith(words)
    assert curve.slope_error_us is None


def test_rows_with_one_number_of_gateways_are_one_measured_point() -> None:
    measured = [row("routed", gateways, cpu) for gateways, cpu in ((1, 100), (1, 120), (2, 110))]
    [curve] = curves(measured, 20)
    assert [(point.gateways, point.measured_us) for point in curve.measured] == [(1, 110), (2, 110)]


def test_a_routed_push_to_a_file_grows_until_each_viewer_has_a_gateway() -> None:
    curve = curve_of("routed", {1: 100, 2: 200, 4: 400, 8: 800}, target="file")
    assert [point.cpu_us_per_delivery for point in curve.points] == [1600.0] + [2000.0] * 6


@pytest.mark.parametrize(
    ("mode", "target", "gateways", "expected"),
    [
        ("routed", "unicast", 1000, 1),
        ("broadcast", "unicast", 1000, 1000),
        ("routed", "file", 8, 8),
        ("routed", "file", 1000, 20),
        ("broadcast", "file", 1000, 1000),
    ],
)
def test_messages_handled_per_push(mode: str, target: str, gateways: int, expected: int) -> None:
    assert messages_handled(mode, target, gateways, 20) == expected


def test_each_curve_extends_to_a_thousand_gateways() -> None:
    result = curves(all_rows(), 20)
    assert [(curve.mode, curve.bus) for curve in result] == [
        ("routed", "redis"),
        ("broadcast", "redis"),
        ("routed", "kafka"),
        ("broadcast", "kafka"),
    ]
    assert tuple(point.gateways for point in result[0].points) == EXTENDED
    routed, broadcast = result[0].points[-1], result[1].points[-1]
    assert (routed.handled_per_push, routed.cpu_us_per_delivery) == (1, 200)
    assert (broadcast.handled_per_push, broadcast.cpu_us_per_delivery) == (1000, 50_200)
    assert DESCRIPTION.startswith("Model, not measured")


def test_invalid_rows_are_not_fitted() -> None:
    assert curves([row("routed", 1, 100, valid=False)], 20) == []
    mixed = [row("routed", 1, 100), row("routed", 2, 9000, valid=False)]
    assert curves(mixed, 20)[0].a_us == 100


def test_one_number_of_gateways_gives_no_broadcast_curve() -> None:
    result = curves([measured for measured in all_rows() if measured.gateways == 1], 20)
    assert {curve.mode for curve in result if curve.target == "unicast"} == {"routed"}
