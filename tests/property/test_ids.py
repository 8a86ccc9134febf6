"""Properties of id generation: whatever the clock does, ids are unique, rise, and stay within what is reserved."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from registry.ids import EPOCH_MS, MAX_MS, IdsExhausted, SnowflakeGenerator, join, split

NOW = EPOCH_MS + 10**9
CLOCKS = st.lists(st.integers(NOW - 5_000, NOW + 5_000), max_size=60)


@given(ms=st.integers(EPOCH_MS, MAX_MS), machine=st.integers(0, 1023), sequence=st.integers(0, 4095))
def test_join_and_split_are_inverse(ms: int, machine: int, sequence: int) -> None:
    number = join(ms, machine, sequence)
    assert 0 <= number < 1 << 63
    assert split(number) == (ms, machine, sequence)


@given(clocks=CLOCKS, machine=st.integers(0, 1023), floor=st.integers(NOW - 5_000, NOW + 5_000))
def test_ids_rise_and_stay_between_floor_and_ceiling(clocks: list[int], machine: int, floor: int) -> None:
    ids = SnowflakeGenerator(machine, floor)
    ids.raise_ceiling(NOW + 1_000)
    made = []
    for now in clocks:
        with suppress(IdsExhausted):
            made.append(ids.next_id(now))
    assert made == sorted(set(made))
    for number in made:
        assert split(number).machine == machine
        assert floor <= split(number).ms < NOW + 1_000


@given(clocks=CLOCKS, bursts=st.lists(st.integers(1, 6_000), max_size=5))
def test_a_burst_spills_into_the_next_milliseconds_without_a_repeat(clocks: list[int], bursts: list[int]) -> None:
    ids = SnowflakeGenerator(1, NOW - 5_000)
    ids.raise_ceiling(NOW + 60_000)
    made = [ids.next_id(now) for now, burst in zip(clocks, bursts, strict=False) for _ in range(burst)]
    assert len(set(made)) == len(made)
    assert made == sorted(made)


@given(clocks=CLOCKS, cut=st.integers(0, 60))
def test_a_new_holder_above_the_floor_never_repeats_an_id(clocks: list[int], cut: int) -> None:
    first = SnowflakeGenerator(5, NOW)
    first.raise_ceiling(NOW + 2_000)
    second = SnowflakeGenerator(5, max(NOW - 5_000, first.ceiling + 1))
    second.raise_ceiling(NOW + 9_000)
    made: list[int] = []
    for ids, times in ((first, clocks[:cut]), (second, clocks[cut:])):
        for now in times:
            with suppress(IdsExhausted):
                made.append(ids.next_id(now))
    assert len(set(made)) == len(made)
