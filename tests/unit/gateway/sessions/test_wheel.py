"""The timer wheel: never early, at most one width late, whatever the order."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.wheel import Wheel


@given(
    st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=30),
    st.floats(0.01, 5),
    st.lists(st.floats(0.001, 30), min_size=1, max_size=30),
)
def test_fires_each_item_once_never_early_and_at_most_a_width_late(
    planned: list[tuple[float, bool]], width: float, steps: list[float]
) -> None:
    wheel = Wheel[int](width)
    for item, (at, cancelled) in enumerate(planned):
        ticket = wheel.schedule(item, at)
        if cancelled:
            wheel.cancel(item, ticket)
    now, before, fired = 0.0, 0.0, {}
    for step in [*steps, 1000.0]:
        now += step
        for item in wheel.due(now):
            assert item not in fired
            fired[item] = (before, now)
        before = now
    for item, (at, cancelled) in enumerate(planned):
        assert (item in fired) is not cancelled
        if not cancelled:
            looked_before, fired_at = fired[item]
            assert fired_at >= at
            assert looked_before <= at + width * 1.000001
    assert len(wheel) == 0


def test_says_when_to_look_again() -> None:
    wheel = Wheel[str](0.5)
    assert wheel.next_due() is None
    wheel.schedule("late", 10.0)
    wheel.schedule("soon", 1.0)
    assert wheel.next_due() == 1.5
    assert wheel.due(1.4) == []
    assert wheel.due(1.5) == ["soon"]
    assert wheel.next_due() == 10.5


def test_cancelling_twice_or_after_firing_is_no_error() -> None:
    wheel = Wheel[str](1.0)
    ticket = wheel.schedule("a", 0.0)
    assert wheel.due(1.0) == ["a"]
    wheel.cancel("a", ticket)
    wheel.cancel("b", 77)
