import pytest

from registry.ids import EPOCH_MS, LAST_ID, LAST_MS, Exhausted, SnowflakeGenerator, join, machine_of, split

NOW = EPOCH_MS + 1_000_000


def ids(machine: int = 7, floor: int = NOW, ceiling: int = NOW + 100) -> SnowflakeGenerator:
    made = SnowflakeGenerator(machine, floor)
    made.reserve(ceiling)
    return made


def test_bits_are_where_the_protocol_says() -> None:
    assert join(EPOCH_MS + 1, 2, 3) == 1 << 22 | 2 << 12 | 3
    assert join(LAST_MS, 1023, 4095) == LAST_ID == 2**63 - 1


@pytest.mark.parametrize(
    "parts", [(EPOCH_MS - 1, 0, 0), (LAST_MS + 1, 0, 0), (NOW, 1024, 0), (NOW, 0, 4096), (NOW, -1, 0)]
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
    maker = ids()
    assert split(maker.ids(NOW + 5)) == (NOW + 5, 7, 0)
    assert split(maker.ids(NOW + 5)) == (NOW + 5, 7, 1)
    assert split(maker.ids(NOW + 6)) == (NOW + 6, 7, 0)
    assert machine_of(maker.ids(NOW + 6)) == 7


def test_a_clock_that_steps_back_stays_in_the_last_millisecond() -> None:
    maker = ids()
    maker.ids(NOW + 50)
    assert split(maker.ids(NOW - 10**6)) == (NOW + 50, 7, 1)


def test_an_id_is_never_below_the_floor() -> None:
    assert split(ids(floor=NOW + 30).ids(NOW)).ms == NOW + 30


def test_4096_ids_use_up_a_millisecond() -> None:
    maker = ids()
    made = [split(maker.ids(NOW)) for _ in range(4097)]
    assert made[4095] == (NOW, 7, 4095)
    assert made[4096] == (NOW + 1, 7, 0)


def test_nothing_is_minted_before_a_reservation() -> None:
    with pytest.raises(Exhausted):
        SnowflakeGenerator(7, NOW).ids(NOW)


def test_past_the_ceiling_it_is_exhausted_and_recovers_with_a_reservation() -> None:
    maker = ids(ceiling=NOW + 10)
    with pytest.raises(Exhausted, match="machine id 7"):
        maker.ids(NOW + 10)
    assert split(maker.ids(NOW + 9)) == (NOW + 9, 7, 0)
    maker.reserve(NOW + 20)
    maker.reserve(NOW + 5)
    assert maker.ceiling == NOW + 20
    assert split(maker.ids(NOW + 10)).ms == NOW + 10


def test_spilling_stops_at_the_ceiling() -> None:
    maker = ids(ceiling=NOW + 1)
    for _ in range(4096):
        maker.ids(NOW)
    with pytest.raises(Exhausted):
        maker.ids(NOW)


def test_a_clock_before_the_epoch_is_no_trouble() -> None:
    maker = ids(floor=0, ceiling=EPOCH_MS + 5)
    assert split(maker.ids(0)).ms == EPOCH_MS


def test_41_bits_are_the_end_of_time() -> None:
    maker = ids(floor=LAST_MS, ceiling=LAST_MS + 10**9)
    assert split(maker.ids(LAST_MS)).ms == LAST_MS
    with pytest.raises(Exhausted):
        maker.ids(LAST_MS + 1)
