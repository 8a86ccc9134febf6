from registry.ids import MACHINE_IDS
from registry.membership import first_free


def test_the_first_free_machine_id_from_the_start_upward() -> None:
    assert first_free(set(), 5) == 5
    assert first_free({5, 6, 8}, 5) == 7


def test_it_wraps() -> None:
    assert first_free({1022, 1023}, 1022) == 0
    assert first_free(set(range(1, MACHINE_IDS)), 1) == 0


def test_none_when_all_are_taken() -> None:
    assert first_free(set(range(MACHINE_IDS)), 700) is None
