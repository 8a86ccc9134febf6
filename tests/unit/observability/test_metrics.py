"""Counters are slots; a scrape shows them all."""

import pytest

from observability import names
from observability.counters import counters
from observability.metrics import Exposition


def test_a_misspelt_counter_is_an_error() -> None:
    made = counters(names.ROUTER)
    made.pushes += 2
    with pytest.raises(AttributeError):
        made.puhses += 1
    assert made.pushes == 2


async def test_the_scrape_shows_every_counter_and_gauge() -> None:
    made = counters(names.GATEWAY)
    made.frames_written += 3
    text = (await Exposition("homing_gateway", names.GATEWAY, made, {"sessions": lambda: 7.0}).scrape()).decode()
    assert "homing_gateway_frames_written_total 3.0" in text
    assert "homing_gateway_sessions 7.0" in text
    for counter in names.GATEWAY:
        assert f"homing_gateway_{counter.name}_total" in text


@pytest.mark.parametrize("listed", [names.GATEWAY, names.ROUTER])
def test_names_are_unique_and_explained(listed: tuple[names.Counter, ...]) -> None:
    assert len({counter.name for counter in listed}) == len(listed)
    assert all(counter.help for counter in listed)
