"""The machine's memory and cores (Linux): available memory, the kernel's memory, busy cores, CPU affinity."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int:
    """Bytes of memory that are available without swapping."""
    return _meminfo("MemAvailable")


def kernel_bytes() -> int:
    """Bytes that the kernel holds in slab objects (sockets, files, ...) and in TCP buffers."""
    return _meminfo("Slab") + _tcp_pages() * PAGE_BYTES


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


def core_ticks(cores: Iterable[int]) -> tuple[int, int]:
    """(busy, total) ticks of these cores since the boot; time in the kernel and in interrupts is busy."""
    names = {f"cpu{core}" for core in cores}
    busy = total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *rest = line.split()
        if name in names:
            ticks = [int(word) for word in rest[:8]]  # user nice system idle iowait irq softirq steal
            total += sum(ticks)
            busy += sum(ticks) - ticks[3] - ticks[4]
    return busy, total


def busy_percent(before: tuple[int, int], after: tuple[int, int]) -> float:
    """The busy share of the time between two readings of `core_ticks`, in percent."""
    return round(100 * (after[0] - before[0]) / max(1, after[1] - before[1]), 1)


def pin(pids: Iterable[int], cores: Iterable[int]) -> None:
    """Restrict these processes, with all their threads, to these cores."""
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):  # the thread has just ended
                os.sched_setaffinity(int(thread), set(cores))


def usable_cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))
