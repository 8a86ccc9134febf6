"""What the gateway's fan-out costs a receiver without its socket: choosing, sharing the frame, counting the outcome.

python -m bench.micro.fanout_core
"""

import time
from typing import Any

from gateway.delivery.fanout import Fanout, PushJob
from gateway.sessions.budget import Budget
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from observability import names
from observability.counters import counters
from tests.support.wire import RecordingDesk, open_session

RECEIVERS = 1000
PUSHES = 20


class Nowhere:
    """A connection whose kernel takes everything at once."""

    is_open = True
    peer_address = ""

    def unsent(self) -> int:
        return 0

    def send(self, frame: bytes) -> bool:
        return True


def crowd() -> list[Session]:
    """Open sessions on such connections."""
    sessions = [open_session(RecordingDesk(), sid) for sid in range(1, RECEIVERS + 1)]
    for session in sessions:
        session.connection = Nowhere()  # type: ignore[assignment]
    return sessions


def measure(sessions: list[Session]) -> float:
    """Microseconds a receiver, the best of seven."""
    best = float("inf")
    receivers = node_pb2.Receivers(file="doc")
    fields: dict[str, Any] = {"event": "e", "data": b"{}", "push_id": "p", "ttl_ms": 30_000}
    for _ in range(7):
        fanout, counted = Fanout(), counters(names.GATEWAY)
        for call in range(PUSHES):
            push = node_pb2.Push(call=call, receivers=receivers, **fields)
            fanout.add(PushJob(push, sessions, 0, time.monotonic_ns, lambda _answer: None))
        began = time.process_time()
        while fanout.turn(Budget(), counted) is not None:
            pass
        best = min(best, time.process_time() - began)
    return best / (PUSHES * RECEIVERS) * 1e6


if __name__ == "__main__":
    print(f"{measure(crowd()):.2f} us a receiver")
