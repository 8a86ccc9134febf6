"""Whether our router has withstood an attack.

It must still serve. A bystander's slowest call may take twice what it takes beside grpcio, and `FLOOR_MS` more: on two
cores, which the attack, the bystander, the gateway and others share with it, a server that nobody attacks shows 100 ms
and more now and then, and a push passes a gateway that grpcio's does not. No call may fail that does not beside grpcio.
The memory may grow by the attack's bound: 96 MiB, which is what a router announces that one connection may send before
it is answered (62.5 MiB on 1,000 streams, and 16 MiB of larger messages), and 16 MiB of answers that are not read.
"""

from collections.abc import Mapping

from bench.hostile.attack import Attack
from bench.hostile.measure import Result

FLOOR_MS = 250.0
FACTOR = 2.0
OVERSIZED = "a frame of"


def faults(attack: Attack, result: Result, comparator: Result | None) -> list[str]:
    """Why the attack was not withstood; [] when it was."""
    found = [] if result.serves else ["no longer serves"]
    for name in ("health", "push"):
        seen: Mapping[str, object] = getattr(result, name)
        other: Mapping[str, object] = getattr(comparator, name) if comparator else {}
        found += _stalls(name, seen, other)
    grown = result.rss_mib.highest - result.rss_mib.before
    if grown > attack.memory_mib:
        found.append(f"memory grew by {grown:,.0f} MiB, {attack.memory_mib} are allowed")
    if attack.must_find not in result.found:
        found.append(f"not found: {attack.must_find}")
    if OVERSIZED in result.found:
        found.append("a frame was larger than the peer allows")
    return found


def _stalls(name: str, seen: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    slowest, allowed = float(str(seen["max_ms"])), FACTOR * float(str(other.get("max_ms", 0.0))) + FLOOR_MS
    found = [f"{name} took {slowest:,.0f} ms, {allowed:,.0f} are allowed"] if slowest > allowed else []
    if seen["failures"] and not other.get("failures"):
        found.append(f"{name} failed: {seen['failures']}")
    return found
