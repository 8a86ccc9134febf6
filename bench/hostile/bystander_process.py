"""An honest caller beside an attack: `python -m bench.hostile.bystander_process PORT`.

Two threads with a grpcio channel each call `Health/Check` and `Push` over and over. The lines `start` and `stop` on
stdin begin and end a measurement; the answer to `stop` is JSON: by call, the latencies' count, p99 and max in ms, and
the failures by status. A call that is under way at `stop` counts.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.hostile.servers import PUSH_USER
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

PAUSE = 0.005  # seconds between two calls
CALL_TIMEOUT = 40.0  # seconds


class RepeatedCall:
    """One call, repeated in a thread of its own between `start` and `stop`."""

    def __init__(self, call: Callable[[], str]) -> None:
        """`call`: makes the call; the result is "", or what was wrong with the answer."""
        self._call = call
        self._running = False
        self._thread = threading.Thread()
        self._latencies: list[float] = []
        self._failures: Counter[str] = Counter()

    def start(self) -> None:
        """Begin a measurement."""
        self._latencies, self._failures, self._running = [], Counter(), True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, Any]:
        """End it, after the call that is under way."""
        self._running = False
        self._thread.join(CALL_TIMEOUT + 1)
        ordered = sorted(self._latencies)
        p99 = ordered[int(len(ordered) * 0.99)] if ordered else 0.0
        return {
            "calls": len(ordered),
            "p99_ms": round(p99 * 1e3, 1),
            "max_ms": round(max(ordered, default=0.0) * 1e3, 1),
            "failures": dict(self._failures),
        }

    def _run(self) -> None:
        while self._running:
            began = time.monotonic()
            try:
                failure = self._call()
            except grpc.RpcError as error:
                failure = error.code().name
            self._latencies.append(time.monotonic() - began)
            if failure:
                self._failures[failure] += 1
            time.sleep(PAUSE)


def health_call(port: str) -> RepeatedCall:
    """`Health/Check` of the whole server."""
    stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
    request = health_pb2.HealthCheckRequest()

    def check() -> str:
        status = stub.Check(request, timeout=CALL_TIMEOUT).status
        return "" if status == health_pb2.HealthCheckResponse.SERVING else str(status)

    return RepeatedCall(check)


def push_call(port: str) -> RepeatedCall:
    """`Push` to the user who is connected."""
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
    stub = router_pb2_grpc.RouterStub(grpc.insecure_channel(f"127.0.0.1:{port}", options))  # type: ignore[no-untyped-call]
    request = pb.PushRequest(target=pb.Target(user=PUSH_USER), event="e", data=b'{"text": "hi"}')

    def push() -> str:
        counts = stub.Push(request, timeout=CALL_TIMEOUT).report.counts
        return "" if counts.get("WRITTEN") else ",".join(counts)

    return RepeatedCall(push)


def main(arguments: list[str]) -> None:
    """Obey the lines of stdin."""
    calls = {"health": health_call(arguments[0]), "push": push_call(arguments[0])}
    for line in sys.stdin:
        if line.strip() == "start":
            for call in calls.values():
                call.start()
        else:
            print(json.dumps({name: call.stop() for name, call in calls.items()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
