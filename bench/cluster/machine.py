"""What the machine says of itself (Linux): memory that is free, what its kernel holds, how busy its cores are."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def available() -> int:
    """Bytes of memory that could still be used without swapping."""
    return _meminfo("MemAvailable")


def kernel() -> int:
    """Bytes that the kernel holds for objects (sockets, files, ...) and for data in TCP's buffers."""
    return _meminfo("Slab") + _tcp_pages() * PAGE


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _tcp_pages() -> int:
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            words = line.split()
            return int(words[words.index("mem") + 1])
    return 0


def busy(cores: Iterable[int]) -> tuple[int, int]:
    """Ticks that these cores were busy, in the kernel and in interrupts too, and ticks in all."""
    wanted = {f"cpu{core}" for core in cores}
    used = total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *rest = line.split()
        if name in wanted:
            ticks = [int(word) for word in rest[:8]]  # user nice system idle iowait irq softirq steal
            total += sum(ticks)
            used += sum(ticks) - ticks[3] - ticks[4]
    return used, total


def busy_share(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Percent of the time between two looks."""
    return round(100 * (after[0] - before[0]) / max(1, after[1] - before[1]), 1)


def pin(pids: Iterable[int], cores: Iterable[int]) -> None:
    """Let these processes, with all their threads, run on these cores only."""
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(int(thread), set(cores))


def cores() -> list[int]:
    """The cores that we may use."""
    return sorted(os.sched_getaffinity(0))
