from registry.model import Life
from registry.sweeper import Overdue

A, B = Life("a", 1), Life("b", 2)


def test_a_life_is_due_after_it_has_been_over_for_long_enough() -> None:
    overdue = Overdue(after=30)
    assert overdue.due([A], now=100) == []
    assert overdue.due([A, B], now=129) == []
    assert overdue.due([A, B], now=130) == [A]
    assert overdue.due([A, B], now=160) == [A, B]


def test_a_life_that_was_not_over_in_between_starts_anew() -> None:
    overdue = Overdue(after=30)
    overdue.due([A], now=100)
    overdue.due([], now=110)
    assert overdue.due([A], now=135) == []
    assert overdue.due([A], now=165) == [A]
