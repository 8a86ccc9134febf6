"""CPU time and memory of other processes (Linux)."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU, user and system, that the process has used; 0 after its exit.

    Read from the process's CPU clock (clock_getcpuclockid, whose Linux encoding this is), in ns: /proc counts in ticks
    of 10 ms, too coarse for a short run.
    """
    try:
        return time.clock_gettime(~pid << 3 | SCHEDULER_CLOCK)
    except OSError:
        return 0.0


def rss_bytes(pid: int) -> int:
    """Bytes of resident memory of the process; 0 after its exit."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, IndexError):
        return 0


def cpu_us_per_operation(before: Mapping[str, float], after: Mapping[str, float], operations: int) -> dict[str, float]:
    """Microseconds of CPU per operation, by kind of process, from two readings in seconds."""
    return {kind: round((after[kind] - before[kind]) / operations * 1e6, 1) for kind in before}
