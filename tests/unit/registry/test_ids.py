import pytest

from registry.ids import EPOCH_MS, MAX_ID, MAX_MS, IdsExhausted, SnowflakeGenerator, join, machine_id_of, split

NOW = EPOCH_MS + 1_000_000


def generator_of(machine: int = 7, floor: int = NOW, ceiling: int = NOW + 100) -> SnowflakeGenerator:
    generator = SnowflakeGenerator(machine, floor)
    generator.raise_ceiling(ceiling)
    return generator


def test_bits_are_where_the_protocol_says() -> None:
    assert join(EPOCH_MS + 1, 2, 3) == 1 << 22 | 2 << 12 | 3
    assert join(MAX_MS, 1023, 4095) == MAX_ID == 2**63 - 1


@pytest.mark.parametrize(
    "parts", [(EPOCH_MS - 1, 0, 0), (MAX_MS + 1, 0, 0), (NOW, 1024, 0), (NOW, 0, 4096), (NOW, -1, 0)]
)
def test_parts_that_do_not_fit_are_refused(parts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no id has the parts"):
        join(*parts)


@pytest.mark.parametrize("number", [-1, 1 << 63])
def test_numbers_that_are_no_ids_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="no 63-bit id"):
        split(number)


def test_a_machine_id_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="1024"):
        SnowflakeGenerator(1024, NOW)


def test_the_clock_gives_the_milliseconds() -> None:
    generator = generator_of()
    assert split(generator.next_id(NOW + 5)) == (NOW + 5, 7, 0)
    assert split(generator.next_id(NOW + 5)) == (NOW + 5, 7, 1)
    assert split(generator.next_id(NOW + 6)) == (NOW + 6, 7, 0)
    assert machine_id_of(generator.next_id(NOW + 6)) == 7


def test_a_clock_that_steps_back_stays_in_the_last_millisecond() -> None:
    generator = generator_of()
    generator.next_id(NOW + 50)
    assert split(generator.next_id(NOW - 10**6)) == (NOW + 50, 7, 1)


def test_an_id_is_never_below_the_floor() -> None:
    assert generator_of(floor=NOW + 30).earliest_ms == NOW + 30
    assert split(generator_of(floor=NOW + 30).next_id(NOW)).ms == NOW + 30


def test_4096_ids_use_up_a_millisecond() -> None:
    generator = generator_of()
    made = [split(generator.next_id(NOW)) for _ in range(4097)]
    assert made[4095] == (NOW, 7, 4095)
    assert made[4096] == (NOW + 1, 7, 0)


def test_no_id_is_made_before_a_reservation() -> None:
    with pytest.raises(IdsExhausted):
        SnowflakeGenerator(7, NOW).next_id(NOW)


def test_ids_are_exhausted_at_the_ceiling_until_it_is_raised() -> None:
    generator = generator_of(ceiling=NOW + 10)
    with pytest.raises(IdsExhausted, match="machine id 7"):
        generator.next_id(NOW + 10)
    assert split(generator.next_id(NOW + 9)) == (NOW + 9, 7, 0)
    generator.raise_ceiling(NOW + 20)
    generator.raise_ceiling(NOW + 5)
    assert generator.ceiling == NOW + 20
    assert split(generator.next_id(NOW + 10)).ms == NOW + 10


def test_a_burst_stops_at_the_ceiling() -> None:
    generator = generator_of(ceiling=NOW + 1)
    for _ in range(4096):
        generator.next_id(NOW)
    with pytest.raises(IdsExhausted):
        generator.next_id(NOW)


def test_a_clock_before_the_epoch_makes_ids_of_the_epoch() -> None:
    generator = generator_of(floor=0, ceiling=EPOCH_MS + 5)
    assert split(generator.next_id(0)).ms == EPOCH_MS


def test_ids_end_with_41_bits_of_milliseconds() -> None:
    generator = generator_of(floor=MAX_MS, ceiling=MAX_MS + 10**9)
    assert split(generator.next_id(MAX_MS)).ms == MAX_MS
    with pytest.raises(IdsExhausted):
        generator.next_id(MAX_MS + 1)
