"""The cost of dedup to a push with one receiver, without sockets: the job, its write and its answer, with and without.

python -m bench.micro.dedup
"""

import time

from bench.micro.fanout_core import open_sessions
from gateway.delivery.dedup import Dedup, DedupSettings
from gateway.delivery.fanout import Fanout
from gateway.delivery.push_job import PushJob
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from observability import names
from observability.counters import counters

PUSHES = 30_000
REPETITIONS = 7


def measure(session: Session, dedup: bool) -> float:
    """Microseconds of CPU a push."""
    fanout, counted = Fanout(), counters(names.GATEWAY)
    remembered = Dedup(DedupSettings(), counted)
    receivers = node_pb2.Receivers(user="ada")
    pushes = [
        node_pb2.Push(receivers=receivers, event="e", data=b"{}", push_id=f"{number:022}", ttl_ms=30_000, dedup=dedup)
        for number in range(PUSHES)
    ]
    started_at = time.process_time()
    for push in pushes:
        job = PushJob(push, (session,), 0, time.monotonic_ns, lambda _answer: None)
        if push.dedup:
            remembered.take(job, time.monotonic_ns())
        fanout.add(job)
        fanout.write_slice(counted)
    return (time.process_time() - started_at) / PUSHES * 1e6


if __name__ == "__main__":
    session = open_sessions()[0]
    off, on = (min(measure(session, dedup) for _ in range(REPETITIONS)) for dedup in (False, True))
    print(f"{off:.1f} us a push, {on:.1f} with dedup: x{on / off:.2f}, {on - off:.1f} more")
