from registry.model import Incarnation
from registry.sweeper import SweepSchedule

A, B = Incarnation("a", 1), Incarnation("b", 2)


def test_an_incarnation_is_due_once_it_has_been_over_for_long_enough() -> None:
    schedule = SweepSchedule(after=30)
    assert schedule.due([A], now=100) == []
    assert schedule.due([A, B], now=129) == []
    assert schedule.due([A, B], now=130) == [A]
    assert schedule.due([A, B], now=160) == [A, B]


def test_an_incarnation_that_was_not_over_in_between_starts_anew() -> None:
    schedule = SweepSchedule(after=30)
    schedule.due([A], now=100)
    schedule.due([], now=110)
    assert schedule.due([A], now=135) == []
    assert schedule.due([A], now=165) == [A]
