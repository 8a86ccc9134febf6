"""Core: the pushes that are being written on this node, each target's in its order.

A large fan-out is written in slices, so that other pushes interleave; two pushes to the same target never overtake each
other, because the later one waits for the earlier one's last slice (docs/design.md, "Order, healing, deadlines,
dedup").
"""

from collections import deque
from typing import NamedTuple

from gateway.delivery.push_job import PushJob
from gateway.sessions.session import Session
from observability.counters import Counters


class SliceResult(NamedTuple):
    """What one slice did: its job, the receivers it found over budget, and what failed."""

    job: PushJob
    slow: list[Session]
    error: Exception | None


class Fanout:
    """All pushes that are being written on this node, in an order that keeps each target's."""

    def __init__(self) -> None:
        self._by_target: dict[object, deque[PushJob]] = {}  # the job being written, then those behind it
        self._round_robin: deque[PushJob] = deque()  # the jobs whose next slice is due, in this order

    def add(self, job: PushJob) -> None:
        """A new push; `write_slice` writes it."""
        queue = self._by_target.get(job.target)
        if queue is None:
            self._by_target[job.target] = deque((job,))
            self._round_robin.append(job)
        else:
            queue.append(job)

    def write_slice(self, counters: Counters) -> SliceResult | None:
        """Write one slice of the next job. None when there is none left.

        A job that fails is answered and taken out: it must not hold up what comes behind it.
        """
        if not self._round_robin:
            return None
        job = self._round_robin.popleft()
        try:
            result = SliceResult(job, job.step(counters), None)
        except Exception as error:
            job.abandon()
            result = SliceResult(job, [], error)
        if job.written_all:
            self._start_next(job.target)
        else:
            self._round_robin.append(job)
        return result

    def _start_next(self, target: object) -> None:
        queue = self._by_target[target]
        queue.popleft()
        if queue:
            self._round_robin.append(queue[0])
        else:
            del self._by_target[target]
