"""The next router at once while there is one not tried, then with a growing pause."""

import pytest

from homing.client.backoff import CEILING, FLOOR, AddressRotation


def test_others_are_tried_without_a_pause_and_each_full_round_waits_longer():
    turns = AddressRotation(["a:1", "b:2", "c:3"], dice=lambda: 1.0)
    seen, pauses = [], []
    for _ in range(9):
        seen.append(turns.address)
        pauses.append(turns.failed())
    assert seen == ["a:1", "b:2", "c:3"] * 3
    assert pauses[:2] == [0.0, 0.0]
    assert pauses[2] == pytest.approx(FLOOR + 2 * FLOOR)
    assert pauses[5] == pytest.approx(FLOOR + 4 * FLOOR)
    assert pauses[8] == pytest.approx(FLOOR + 8 * FLOOR)


def test_the_pause_has_a_ceiling_and_an_answer_starts_anew():
    turns = AddressRotation(["a:1"], dice=lambda: 1.0)
    for _ in range(2000):
        pause = turns.failed()
    assert pause == FLOOR + CEILING
    turns.worked()
    assert turns.failed() == pytest.approx(3 * FLOOR)


@pytest.mark.parametrize("addresses", [(), ("nowhere",), ("host:",), (":1",), ("a:1", "b:x")])
def test_addresses_are_judged_at_once(addresses):
    with pytest.raises(ValueError, match="host:port"):
        AddressRotation(addresses)
