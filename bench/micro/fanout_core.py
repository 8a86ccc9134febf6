"""The cost of the gateway's fan-out per receiver, without sockets: selection, shared frame, outcome counts.

python -m bench.micro.fanout_core
"""

import time
from typing import Any

from gateway.delivery.fanout import Fanout
from gateway.delivery.push_job import PushJob
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from observability import names
from observability.counters import counters
from tests.support.wire import RecordingTransport, connection_of, open_session

RECEIVERS = 1000
PUSHES = 20
REPETITIONS = 7


class NullTransport(RecordingTransport):
    """A transport whose kernel accepts every frame at once; keeps none."""

    def send(self, frame: bytes) -> bool:
        return True


def open_sessions() -> list[Session]:
    """Connected sessions on null transports."""
    sessions = [open_session(sid) for sid in range(1, RECEIVERS + 1)]
    for session in sessions:
        connection = connection_of(session)
        connection._transport = NullTransport(connection)
    return sessions


def measure(sessions: list[Session]) -> float:
    """Microseconds of CPU per receiver, the lowest of several repetitions."""
    best = float("inf")
    receivers = node_pb2.Receivers(file="doc")
    fields: dict[str, Any] = {"event": "e", "data": b"{}", "push_id": "p", "ttl_ms": 30_000}
    for _ in range(REPETITIONS):
        fanout, gateway_counters = Fanout(), counters(names.GATEWAY)
        for call in range(PUSHES):
            push = node_pb2.Push(call=call, receivers=receivers, **fields)
            fanout.add(PushJob(push, sessions, 0, time.monotonic_ns, lambda _answer: None))
        started_at = time.process_time()
        while fanout.write_slice(gateway_counters) is not None:
            pass
        best = min(best, time.process_time() - started_at)
    return best / (PUSHES * RECEIVERS) * 1e6


if __name__ == "__main__":
    print(f"{measure(open_sessions()):.2f} us per receiver")
