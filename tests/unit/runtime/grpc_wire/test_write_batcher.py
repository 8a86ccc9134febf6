"""When what has gathered leaves: at the end of the turn, or some time later if it may wait."""

from collections.abc import Callable

from runtime.grpc_wire import write_batcher
from runtime.grpc_wire.write_batcher import WriteBatcher


class Clock:
    """A loop whose time is the test's."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, then: Callable[[], None]) -> None:
        self.due.append((self.now, then))

    def call_later(self, seconds: float, then: Callable[[], None]) -> None:
        self.due.append((self.now + seconds, then))

    def until(self, now: float) -> None:
        self.now = now
        due, self.due = [one for one in self.due if one[0] <= now], [one for one in self.due if one[0] > now]
        for _, then in due:
            then()


class StreamState:
    writable = True


def made(monkeypatch, linger: float) -> tuple[Clock, WriteBatcher, list[float]]:
    clock, left = Clock(), []
    monkeypatch.setattr(write_batcher.asyncio, "get_running_loop", lambda: clock)
    one = WriteBatcher(lambda _call: left.append(clock.now), linger)
    one.attach(StreamState())
    return clock, one, left


def test_what_is_wanted_in_one_turn_leaves_at_its_end_in_one_message(monkeypatch):
    clock, one, left = made(monkeypatch, 0.0)
    one.request_write()
    one.request_write()
    assert left == []
    clock.until(0.0)
    one.request_write()
    clock.until(0.0)
    assert left == [0.0, 0.0]


def test_what_is_patient_gathers_until_its_time_and_leaves_with_whatever_leaves_before(monkeypatch):
    clock, one, left = made(monkeypatch, 1.0)
    one.request_write(linger=True)
    clock.until(0.5)
    one.request_write(linger=True)
    assert left == []
    clock.until(1.0)
    assert left == [1.0]
    one.request_write(linger=True)
    one.request_write()
    clock.until(1.0)
    assert left == [1.0, 1.0]
    clock.until(2.0)
    assert left == [1.0, 1.0]  # nothing was left to say


def test_a_stream_that_is_full_gathers_on_and_is_not_asked_before_it_says_so(monkeypatch):
    clock, one, left = made(monkeypatch, 0.0)
    stream = StreamState()
    one.attach(stream)
    stream.writable = False
    one.request_write()
    clock.until(1.0)
    assert left == []
    stream.writable = True
    one.resume()
    clock.until(2.0)
    assert left == [2.0]
