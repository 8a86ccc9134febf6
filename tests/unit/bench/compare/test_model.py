"""The model: its fit, its extension to more gateways, and that invalid rows have no part in it."""

import pytest

from bench.compare.model import DESCRIPTION, EXTENDED, curves, fit, messages_handled
from tests.unit.bench.compare.rows import all_rows, row


def test_the_fit_finds_an_exact_line() -> None:
    a, b = fit([(x, 120 + 30 * x) for x in (1, 2, 4, 8)])
    assert (a, b) == (pytest.approx(120), pytest.approx(30))


def test_constant_points_have_a_mean_and_no_slope() -> None:
    assert fit([(1.0, 100), (1.001, 140), (1.0, 120)]) == (120, 0.0)
    assert fit([(1.0, 100)]) == (100, 0.0)


def test_the_slope_is_never_negative() -> None:
    assert fit([(1, 300), (2, 200)]) == (250, 0.0)


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
