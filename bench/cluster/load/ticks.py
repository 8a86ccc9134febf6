"""A clock for what is due every few hundred microseconds: event loops round their timers to a millisecond, and uvloop
rounds less than a half of one down to nothing, which spins.

On Linux a timerfd that the loop watches; elsewhere a timer of the loop, a millisecond at least.
"""

import asyncio
import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Callable

SHORTEST = 0.000_25  # seconds
MONOTONIC, NONBLOCK = 1, 0o4000  # CLOCK_MONOTONIC, TFD_NONBLOCK


class Ticks:
    """Calls `tick` every `period` seconds until `close`."""

    def __init__(self, period: float, tick: Callable[[], None]) -> None:
        self._period = max(SHORTEST, period)
        self._tick = tick
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fd = _timer_fd(self._period)
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._on_readable)
        else:
            self._on_timer()

    def close(self) -> None:
        """No more. Closing twice is no error."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        elif self._timer is not None:
            self._timer.cancel()

    def _on_readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._tick()

    def _on_timer(self) -> None:
        self._timer = self._loop.call_later(max(0.001, self._period), self._on_timer)
        self._tick()


def _timer_fd(period: float) -> int:
    """A timerfd that fires every so many seconds; -1 where there is none."""
    if sys.platform != "linux":
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.timerfd_create(MONOTONIC, NONBLOCK | os.O_CLOEXEC))
    seconds, rest = divmod(round(period * 1e9), 10**9)
    if fd >= 0:
        libc.timerfd_settime(fd, 0, struct.pack("qqqq", seconds, rest, seconds, rest), None)
    return fd
