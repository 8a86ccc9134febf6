"""How long a message was under way, between clocks that have nothing in common."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.transit import WINDOW_NS, Transit

MS = 1_000_000


def test_what_a_message_took_beyond_the_fastest_is_its_age() -> None:
    transit = Transit()
    transit.seen(sent_ns=0, now_ns=500 * MS + 2 * MS)  # clocks are 500 ms apart, the way takes 2
    transit.seen(sent_ns=10 * MS, now_ns=10 * MS + 500 * MS + 1 * MS)  # and 1 at best
    assert transit.age(20 * MS, 20 * MS + 500 * MS + 1 * MS) == 0
    assert transit.age(20 * MS, 20 * MS + 500 * MS + 701 * MS) == 700 * MS  # 700 ms in a buffer


def test_a_drifting_clock_is_followed() -> None:
    transit = Transit()
    transit.seen(0, 100)
    transit.seen(2 * WINDOW_NS, 2 * WINDOW_NS + 5000)
    assert transit.age(2 * WINDOW_NS, 2 * WINDOW_NS + 5000) == 4900  # the older minute still counts
    transit.seen(4 * WINDOW_NS, 4 * WINDOW_NS + 5000)
    assert transit.age(4 * WINDOW_NS, 4 * WINDOW_NS + 5000) == 0


@given(st.integers(-(10**12), 10**12), st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1))
def test_age_is_never_negative_nor_more_than_the_way_took(offset: int, messages: list[tuple[int, int]]) -> None:
    transit, sent = Transit(), 0
    for gap, way in messages:
        sent += gap
        arrived = sent + offset + way
        transit.seen(sent, arrived)
        assert 0 <= transit.age(sent, arrived) <= way
