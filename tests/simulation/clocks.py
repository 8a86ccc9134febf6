"""The clocks and the randomness of simulated processes, in place of `time` and `random` where code calls them itself.

Each process has clocks of its own: a monotonic one that began at another moment than the others', and a wall clock that
may be set. Code that takes its clock as an argument is given these; in the modules named here the module is replaced
for as long as a simulation runs.
"""

import contextlib
import logging
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.simulation.loop import Scheduler

WALL_START = 1_900_000_000.0  # seconds since the Unix epoch
TIME_USERS = (
    "gateway.admission",
    "gateway.authentication",
    "gateway.client_commands",
    "gateway.delivery.push_writer",
    "gateway.delivery.router_endpoint",
    "router.hop.stream",
)
RANDOM_USERS = ("registry.retry", "router.hop.stream")


class ProcessClocks:
    """The clocks of one process."""

    def __init__(self, scheduler: Scheduler, rng: random.Random) -> None:
        self._scheduler = scheduler
        self._monotonic_offset = rng.randrange(0, 10**15)  # ns
        self._boot_offset = float(rng.randrange(0, 10**6))
        self.wall_offset = rng.uniform(-0.05, 0.05)  # seconds; may be set

    def monotonic_ns(self) -> int:
        return int(self._scheduler.now * 1e9) + self._monotonic_offset

    def monotonic(self) -> float:
        return self.monotonic_ns() / 1e9

    def boottime(self) -> float:
        return self._scheduler.now + self._boot_offset

    def wall(self) -> float:
        return WALL_START + self._scheduler.now + self.wall_offset

    def wall_ms(self) -> int:
        return int(self.wall() * 1000)


class _CurrentClocks:
    """Stands for the module `time`: the clocks of the process whose callback runs."""

    def __init__(self, scheduler: Scheduler, clocks: dict[str, ProcessClocks]) -> None:
        self._scheduler = scheduler
        self._clocks = clocks

    def _current(self) -> ProcessClocks:
        assert self._scheduler.current is not None, "a clock was read outside of every process"
        return self._clocks[self._scheduler.current.name]

    def monotonic_ns(self) -> int:
        return self._current().monotonic_ns()

    def time(self) -> float:
        return self._current().wall()

    def time_ns(self) -> int:
        return int(self._current().wall() * 1e9)


class _ErrorLog(logging.Handler):
    """What is logged as an error is an error of the run."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        self._errors.append(self.format(record))


@contextlib.contextmanager
def installed(
    scheduler: Scheduler, clocks: dict[str, ProcessClocks], rng: random.Random, replaced: dict[str, Any]
) -> Iterator[None]:
    """While this is open, the modules above read the clocks of the running process and the simulation's randomness.

    `clocks`: by process. `replaced`: what else stands for another object, by its path.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    errors = _ErrorLog(scheduler.errors)
    logging.root.addHandler(errors)
    with contextlib.ExitStack() as stack:
        stack.callback(logging.disable, disabled)
        stack.callback(logging.root.removeHandler, errors)
        time = _CurrentClocks(scheduler, clocks)
        randomness = SimpleNamespace(uniform=rng.uniform)
        for module in TIME_USERS:
            stack.enter_context(mock.patch(f"{module}.time", time))
        for module in RANDOM_USERS:
            stack.enter_context(mock.patch(f"{module}.random", randomness))
        for path, value in replaced.items():
            stack.enter_context(mock.patch(path, value, create=True))
        yield
