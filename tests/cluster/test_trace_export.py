"""Real clusters whose spans leave by the stock exporters: to the console, and to `homing trace --collect`."""

import json
import re
import signal
import subprocess
import time

import pytest

from tests.support.servers import free_port
from tests.support.up import HOMING, Listening, Up

pytestmark = pytest.mark.timeout(60)

WITHIN = 10.0  # seconds for spans to be there


def push(up):
    """A push to a client that is there; the id of its trace."""
    with Listening(up, "--user", "ada") as ada:
        ada.wait("hello")
        report = up.json("push", "--user", "ada", "--event", "e", "--data", "1")["report"]
        assert report["counts"] == {"WRITTEN": 1}
        return report["trace_id"]


def console_spans(log, trace_id):
    """The names of the trace's spans in the stock console exporter's JSON, which is in the service's log."""
    text = log.read_text()
    return re.findall(rf'"name": "([a-z ]+)",\s+"context": {{\s+"trace_id": "0x{trace_id}"', text)


def wait_console_spans(up, service, trace_id, count):
    (log,) = (up.run_dir / "logs").glob(f"{service}*.log")
    deadline = time.monotonic() + WITHIN
    while len(found := console_spans(log, trace_id)) < count:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return sorted(found)


def test_the_console_exporter_is_chosen_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "trial")
    with Up(tmp_path, "--gateways", "1") as up:
        trace_id = push(up)
        assert wait_console_spans(up, "router", trace_id, 3) == ["hop", "plan", "push"]
        assert wait_console_spans(up, "gateway", trace_id, 1) == ["deliver"]
        (log,) = (up.run_dir / "logs").glob("router*.log")
        assert '"service.name": "trial"' in log.read_text()


def test_the_command_collects_and_draws_without_a_jaeger(tmp_path):
    port = free_port()
    command = [*HOMING, "trace", "--collect", "--grpc", f"127.0.0.1:{port}", "--http", "127.0.0.1:0"]
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as collector:
        assert collector.stderr.readline().startswith(f"Collecting at http://127.0.0.1:{port} (OTLP over gRPC)")
        with Up(tmp_path, "--gateways", "1", "--otlp", f"http://127.0.0.1:{port}") as up:
            trace_id = push(up)
            while (trace := json.loads(collector.stdout.readline()))["trace_id"] != trace_id:
                pass
        assert [span["name"] for span in trace["spans"]] == ["push", "plan", "hop", "deliver"]
        by_id = {span["span"]: span["name"] for span in trace["spans"]}
        assert [by_id.get(span["parent"], "") for span in trace["spans"]] == ["", "push", "push", "hop"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert second.returncode == 1
        assert f"cannot listen at 127.0.0.1:{port}" in second.stderr
        collector.send_signal(signal.SIGINT)
        assert collector.wait(10) == 0
        assert collector.stderr.read() == ""


def test_an_exporter_that_there_is_not_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    done = subprocess.run([*HOMING, "router"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("OTEL_TRACES_EXPORTER: zipkin is not known; there are: console, none, otlp")
    assert "Traceback" not in done.stderr
