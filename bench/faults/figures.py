"""Figures from a recording. No I/O, no clock."""

from collections import Counter
from collections.abc import Iterable, Sequence

from bench.faults.checker import Recording
from bench.faults.records import CallerPush, ClientEnded

FOREVER = float("inf")


def pushes_between(recording: Recording, begin: float = 0.0, end: float = FOREVER) -> list[CallerPush]:
    """The pushes that were called between the times."""
    return [push for push in recording.pushes if begin <= push.t_invoke < end and not push.probe]


def outcomes(pushes: Iterable[CallerPush]) -> Counter[str]:
    """How many sessions had which outcome; calls without a report count as `error` or `unknown`."""
    counted: Counter[str] = Counter()
    for push in pushes:
        counted.update(push.outcome.counts)
        counted.update({"error": 1} if push.outcome.error else {})
        counted.update({"unknown": 1} if push.outcome.unknown else {})
    return counted


def shown_outcomes(counted: Counter[str]) -> str:
    """Outcomes for people, the most frequent first."""
    return ", ".join(f"{count:,} {name}" for name, count in counted.most_common()) or "no pushes"


def not_written(counted: Counter[str]) -> Counter[str]:
    """The outcomes that are no delivery."""
    return Counter({name: count for name, count in counted.items() if name not in {"WRITTEN", "DUPLICATE", "QUEUED"}})


def wrongly_offline(pushes: Iterable[CallerPush]) -> list[CallerPush]:
    """Pushes reported OFFLINE without `registry_away`."""
    return [push for push in pushes if push.outcome.counts.get("OFFLINE") and not push.outcome.registry_away]


def seconds_of(pushes: Iterable[CallerPush]) -> list[float]:
    """How long each call took."""
    return sorted(push.t_return - push.t_invoke for push in pushes)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of values in order; 0 of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def shown_times(ordered: Sequence[float]) -> str:
    """p50, p99 and the longest, in ms."""
    shown = (percentile(ordered, 0.5), percentile(ordered, 0.99), max(ordered, default=0.0))
    return "p50 {:,.1f}, p99 {:,.1f}, max {:,.0f} ms".format(*(one * 1e3 for one in shown))


def ended_between(recording: Recording, begin: float, end: float = FOREVER) -> list[ClientEnded]:
    """Connections of clients that stay which ended between the times; visitors have numbers below 0."""
    return [one for one in recording.ended if begin <= one.t < end and one.client >= 0]


def close_codes(ended: Iterable[ClientEnded]) -> str:
    """How often which close code was received."""
    return ", ".join(f"{count} with {code}" for code, count in Counter(one.code for one in ended).most_common())


def refusals(recording: Recording, begin: float) -> str:
    """Why how many attempts to connect failed since `begin`."""
    counted = Counter(one.status for one in recording.refused if one.t >= begin)
    return ", ".join(f"{count} with {status}" for status, count in counted.most_common()) or "none refused"


def gaps(recording: Recording, begin: float, bare: bool | None = None) -> list[float]:
    """Seconds from each end of a connection since `begin` until the client had another one, in order; of clients that
    are bare, of the others, or of all.

    0: it had moved before; inf: there is none.
    """
    ends = {one.conn: one.t for one in recording.ended}
    times: dict[int, list[tuple[float, float]]] = {}
    for one in recording.connected:
        if bare in (None, one.bare):
            times.setdefault(one.client, []).append((one.t, ends.get(one.conn, FOREVER)))
    return sorted(_gap(times[one.client], one.t) for one in ended_between(recording, begin) if one.client in times)


def _gap(times: Iterable[tuple[float, float]], ended: float) -> float:
    return min((max(0.0, begin - ended) for begin, end in times if end > ended), default=FOREVER)
