"""The model: what is fitted, how it goes on, and that it draws nothing from a row that says nothing."""

import pytest

from bench.compare.model import EXTENDED, SENTENCE, curves, fit, handled
from tests.unit.bench.compare.rows import both, row


def test_a_line_is_found_again() -> None:
    a, b = fit([(x, 120 + 30 * x) for x in (1, 2, 4, 8)])
    assert (a, b) == (pytest.approx(120), pytest.approx(30))


def test_what_does_not_vary_has_a_mean_and_no_slope() -> None:
    assert fit([(1.0, 100), (1.001, 140), (1.0, 120)]) == (120, 0.0)
    assert fit([(1.0, 100)]) == (100, 0.0)


def test_noise_never_makes_more_gateways_cheaper() -> None:
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
def test_who_handles_a_push(mode: str, target: str, gateways: int, expected: int) -> None:
    assert handled(mode, target, gateways, 20) == expected


def test_each_curve_goes_on_to_a_thousand_gateways() -> None:
    made = curves(both(), 20)
    assert [(curve.mode, curve.bus) for curve in made] == [
        ("routed", "redis"),
        ("broadcast", "redis"),
        ("routed", "kafka"),
        ("broadcast", "kafka"),
    ]
    assert tuple(point.gateways for point in made[0].points) == EXTENDED
    routed, broadcast = made[0].points[-1], made[1].points[-1]
    assert (routed.handled_per_push, routed.cpu_us_per_delivery) == (1, 200)
    assert (broadcast.handled_per_push, broadcast.cpu_us_per_delivery) == (1000, 50_200)
    assert SENTENCE.startswith("Model, not measured")


def test_rows_that_are_not_valid_make_no_model() -> None:
    assert curves([row("routed", 1, 100, valid=False)], 20) == []
    mixed = [row("routed", 1, 100), row("routed", 2, 9000, valid=False)]
    assert curves(mixed, 20)[0].a_us == 100


def test_from_one_number_of_gateways_nothing_is_said_about_more() -> None:
    made = curves([one for one in both() if one.gateways == 1], 20)
    assert {curve.mode for curve in made if curve.target == "unicast"} == {"routed"}
