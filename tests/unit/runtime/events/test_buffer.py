"""The buffer of client events: bounds in number and bytes, order, and records under way."""

import pytest

from runtime.events.buffer import Buffer
from runtime.events.port import EventSettings, Record


def record(number: int, size: int = 1) -> Record:
    return Record("key", {"n": str(number)}, bytes(size))


def numbers(records: list[Record]) -> list[int]:
    return [int(one.headers["n"]) for one in records]


@pytest.fixture
def buffer() -> Buffer:
    made = Buffer(EventSettings(buffer=5, buffer_bytes=100))
    for number in range(4):
        made.add(record(number, 10))
    return made


def test_records_leave_in_order(buffer):
    assert numbers(buffer.take(3)) == [0, 1, 2]
    assert numbers(buffer.take(3)) == [3]
    assert buffer.take(3) == []


def test_what_is_under_way_is_still_held(buffer):
    buffer.take(2)
    assert (len(buffer), buffer.waiting) == (4, 2)
    assert buffer.fits(1)
    buffer.add(record(4))
    assert not buffer.fits(0)


def test_what_is_done_makes_room(buffer):
    buffer.add(record(4))
    taken = buffer.take(5)
    buffer.done(taken[:2])
    assert len(buffer) == 3
    assert buffer.fits(0)


def test_what_is_given_back_is_the_next_in_line(buffer):
    taken = buffer.take(3)
    buffer.done(taken[:1])
    buffer.give_back(taken[1:])
    assert (len(buffer), buffer.waiting) == (3, 3)
    assert numbers(buffer.take(5)) == [1, 2, 3]


def test_bytes_are_a_bound_too(buffer):
    assert buffer.fits(60)
    assert not buffer.fits(61)
    buffer.done(buffer.take(1))
    assert buffer.fits(70)


def test_one_record_over_the_bound_goes_into_an_empty_buffer():
    buffer = Buffer(EventSettings(buffer=5, buffer_bytes=100))
    assert buffer.fits(1000)
    buffer.add(record(0, 1000))
    assert not buffer.fits(0)
    buffer.done(buffer.take(1))
    assert buffer.fits(100)
