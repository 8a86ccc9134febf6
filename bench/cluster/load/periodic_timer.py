"""A timer for periods of some hundred microseconds: event loops round their timers to a millisecond, and uvloop rounds
less than half a millisecond down to zero, which is a busy loop.

On Linux a timerfd that the loop watches; elsewhere a timer of the loop, with a period of a millisecond at least.
"""

import asyncio
import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Callable

MIN_PERIOD = 0.000_25  # seconds
CLOCK_MONOTONIC, TFD_NONBLOCK = 1, 0o4000


class PeriodicTimer:
    """Calls `on_tick` every `period` seconds until `close`."""

    def __init__(self, period: float, on_tick: Callable[[], None]) -> None:
        self._period = max(MIN_PERIOD, period)
        self._on_tick = on_tick
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fd = _create_timerfd(self._period)
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._on_readable)
        else:
            self._on_timer()

    def close(self) -> None:
        """Stop the timer. Idempotent."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        elif self._timer is not None:
            self._timer.cancel()

    def _on_readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._on_tick()

    def _on_timer(self) -> None:
        self._timer = self._loop.call_later(max(0.001, self._period), self._on_timer)
        self._on_tick()


def _create_timerfd(period: float) -> int:
    """A timerfd that fires every `period` seconds; -1 on systems without timerfd."""
    if sys.platform != "linux":
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | os.O_CLOEXEC))
    seconds, nanoseconds = divmod(round(period * 1e9), 10**9)
    if fd >= 0:
        libc.timerfd_settime(fd, 0, struct.pack("qqqq", seconds, nanoseconds, seconds, nanoseconds), None)
    return fd
