"""When gathered writes leave: at the end of the iteration of the loop, or later if they may linger."""

from collections.abc import Callable

from runtime.grpc_wire import write_batcher
from runtime.grpc_wire.write_batcher import WriteBatcher


class ManualLoop:
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

    def run_until(self, now: float) -> None:
        self.now = now
        due, self.due = [one for one in self.due if one[0] <= now], [one for one in self.due if one[0] > now]
        for _, then in due:
            then()


class WritableCall:
    """A call that is writable unless the test says otherwise."""

    writable = True


def make_batcher(monkeypatch, linger: float) -> tuple[ManualLoop, WriteBatcher, list[float]]:
    loop, left = ManualLoop(), []
    monkeypatch.setattr(write_batcher.asyncio, "get_running_loop", lambda: loop)
    batcher = WriteBatcher(lambda _call: left.append(loop.now), linger)
    batcher.attach(WritableCall())
    return loop, batcher, left


def test_writes_of_one_iteration_leave_at_its_end_in_one_message(monkeypatch):
    loop, batcher, left = make_batcher(monkeypatch, 0.0)
    batcher.request_write()
    batcher.request_write()
    assert left == []
    loop.run_until(0.0)
    batcher.request_write()
    loop.run_until(0.0)
    assert left == [0.0, 0.0]


def test_a_lingering_write_leaves_after_its_time_or_with_an_earlier_write(monkeypatch):
    loop, batcher, left = make_batcher(monkeypatch, 1.0)
    batcher.request_write(linger=True)
    loop.run_until(0.5)
    batcher.request_write(linger=True)
    assert left == []
    loop.run_until(1.0)
    assert left == [1.0]
    batcher.request_write(linger=True)
    batcher.request_write()
    loop.run_until(1.0)
    assert left == [1.0, 1.0]
    loop.run_until(2.0)
    assert left == [1.0, 1.0]  # nothing was left to write


def test_writes_gather_while_the_stream_is_not_writable(monkeypatch):
    loop, batcher, left = make_batcher(monkeypatch, 0.0)
    stream = WritableCall()
    batcher.attach(stream)
    stream.writable = False
    batcher.request_write()
    loop.run_until(1.0)
    assert left == []
    stream.writable = True
    batcher.resume()
    loop.run_until(2.0)
    assert left == [2.0]
