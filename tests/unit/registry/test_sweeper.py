from registry.model import Incarnation
from registry.sweeper import SweepSchedule

A, B = Incarnation("a", 1), Incarnation("b", 2)


def test_a_incarnation_is_due_after_it_has_been_over_for_long_enough() -> None:
    overdue = SweepSchedule(after=30)
    assert overdue.due([A], now=100) == []
    assert overdue.due([A, B], now=129) == []
    assert overdue.due([A, B], now=130) == [A]
    assert overdue.due([A, B], now=160) == [A, B]


def test_a_incarnation_that_was_not_over_in_between_starts_anew() -> None:
    overdue = SweepSchedule(after=30)
    overdue.due([A], now=100)
    overdue.due([], now=110)
    assert overdue.due([A], now=135) == []
    assert overdue.due([A], now=165) == [A]
