"""A trace collector for tests: Jaeger where `make jaeger` has built it, else an OTLP receiver of ours.

Both are read through Jaeger's own JSON, so that a test's assertions are the same:

    with start_collector(tmp_path) as collector:
        ... spans are sent to collector.url ...
        trace = collector.wait_trace(trace_id, spans=9)

The receiver can also be stopped and started again on its port, and counts what it took.
"""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import grpc
import msgspec
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from homing.command import jaeger
from homing.command.waterfall import DrawnSpan
from tests.support.servers import Server, free_port

ROOT = Path(__file__).resolve().parents[2]
JAEGER = ROOT / ".tools/bin/jaeger"
WITHIN = 10.0  # seconds for spans to be there
KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


class Collector(Protocol):
    """Where spans go, and what it has."""

    url: str

    def read(self, trace_id: str) -> dict[str, Any] | None:
        """The trace in Jaeger's JSON; None: not there."""
        ...

    def stop(self) -> None: ...

    def restart(self) -> None:
        """Listen again, on the same port."""
        ...


class Jaeger:
    """A real Jaeger, in memory."""

    def __init__(self, directory: Path) -> None:
        ports = {name: free_port() for name in ("HEALTH", "QUERY", "QUERY_GRPC", "OTLP")}
        self.url = f"http://127.0.0.1:{ports['OTLP']}"
        self.query = f"http://127.0.0.1:{ports['QUERY']}"
        told = {f"JAEGER_{name}_PORT": str(port) for name, port in ports.items()}
        command = ["/usr/bin/env", "OTEL_TRACES_SAMPLER=always_off", *(f"{key}={value}" for key, value in told.items())]
        command += [str(JAEGER), "--config", str(ROOT / "deploy/jaeger.yaml")]
        self._server = Server(command, ports["QUERY"], lambda _port: self._ready(), directory / "jaeger.log")

    def _ready(self) -> bool:
        try:
            self._get("/api/services")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.query + path, timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    def read(self, trace_id: str) -> dict[str, Any] | None:
        try:
            return self._get(f"/api/traces/{trace_id}")["data"][0]
        except urllib.error.HTTPError as error:
            error.close()
            return None

    def stop(self) -> None:
        self._server.stop()

    def restart(self) -> None:
        self._server.restart()


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """OTLP over gRPC, kept in memory."""

    def __init__(self, port: int = 0) -> None:
        self.spans: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.restart()

    def restart(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:
        for group in request.resource_spans:
            process = {"tags": _tags(group.resource.attributes)}
            names = {tag["key"]: tag["value"] for tag in process["tags"]}
            process["serviceName"] = names.pop("service.name", "?")
            for scope in group.scope_spans:
                for span in scope.spans:
                    self.spans.setdefault(span.trace_id.hex(), []).append((_as_jaeger(span), process))
        return trace_service_pb2.ExportTraceServiceResponse()

    def read(self, trace_id: str) -> dict[str, Any] | None:
        found = self.spans.get(trace_id)
        if not found:
            return None
        spans = [{**span, "processID": f"p{number}"} for number, (span, _) in enumerate(found)]
        return {"traceID": trace_id, "spans": spans, "processes": {f"p{n}": p for n, (_, p) in enumerate(found)}}

    def stop(self) -> None:
        self._server.stop(0).wait()


def _as_jaeger(span: trace_pb2.Span) -> dict[str, Any]:
    tags = [*_tags(span.attributes), {"key": "span.kind", "value": KINDS.get(span.kind, "")}]
    if span.status.code == trace_pb2.Status.STATUS_CODE_ERROR:
        tags += [{"key": "error", "value": True}, {"key": "otel.status_description", "value": span.status.message}]
    references = [{"refType": "CHILD_OF", "spanID": span.parent_span_id.hex()}] if span.parent_span_id else []
    references += [{"refType": "FOLLOWS_FROM", "spanID": link.span_id.hex()} for link in span.links]
    start, end = span.start_time_unix_nano // 1000, span.end_time_unix_nano // 1000
    return {
        "spanID": span.span_id.hex(),
        "operationName": span.name,
        "references": references,
        "startTime": start,
        "duration": end - start,
        "tags": tags,
    }


def _tags(attributes: Any) -> list[dict[str, Any]]:
    return [{"key": one.key, "value": getattr(one.value, one.value.WhichOneof("value"))} for one in attributes]


def start_collector(directory: Path) -> Collector:
    """The best that is there."""
    return Jaeger(directory) if os.access(JAEGER, os.X_OK) else Receiver()


def wait_trace(collector: Collector, trace_id: str, spans: int) -> list[DrawnSpan]:
    """The trace, once it has that many spans."""
    deadline = time.monotonic() + WITHIN
    while True:
        trace = collector.read(trace_id)
        found = jaeger.read(msgspec.convert(trace, jaeger.JaegerTrace)) if trace else []
        if len(found) >= spans:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {spans} spans: {[span.name for span in found]}"
        time.sleep(0.05)


if __name__ == "__main__":  # a receiver in a process of its own, at a port: for whoever starts processes, too
    Receiver(int(sys.argv[1]))
    print("ready", flush=True)
    signal.pause()
