"""A real `homing up`, run the way a person runs it, and the other verbs beside it.

with Up(tmp_path, "--gateways", "3") as up:
    report = up.json("push", "--user", "ada", "--event", "e")["report"]
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

HOMING = [sys.executable, "-P", "-m", "homing"]
READY_WITHIN = 40.0  # seconds; 2 on an idle machine
GONE_WITHIN = 25.0  # seconds


class Up:
    """A running cluster, stopped at the end. `log` is what `up` printed."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.run_dir = directory / "run"
        self.log = directory / "up.log"
        self._command = [*HOMING, "up", "--ports", "random", "--run-dir", str(self.run_dir), *arguments]
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("wb") as out:
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def __enter__(self) -> "Up":
        try:
            deadline = time.monotonic() + READY_WITHIN
            while "Ready." not in self.log.read_text():
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def cluster(self) -> dict[str, Any]:
        """cluster.json, as it is now."""
        read: dict[str, Any] = json.loads((self.run_dir / "cluster.json").read_bytes())
        return read

    @property
    def pids(self) -> list[int]:
        """Every process of the cluster but `up` itself."""
        cluster = self.cluster
        return [part["pid"] for part in cluster["gateways"] + cluster["routers"]] + list(cluster["servers"].values())

    def command(self, *arguments: str) -> list[str]:
        """A verb's command line for this cluster."""
        return [*HOMING, arguments[0], "--run-dir", str(self.run_dir), *arguments[1:]]

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a verb to its end."""
        return subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=30)

    def json(self, *arguments: str) -> dict[str, Any]:
        """What a verb prints with --json; it must succeed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def stop(self) -> int:
        """Ctrl-C, as to the terminal's foreground process; its exit status. Stopping twice is no error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(GONE_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its children die with it
            self.process.wait()
            raise


class Listening:
    """A `homing listen --json` beside the test."""

    def __init__(self, up: Up, *arguments: str) -> None:
        self.process = subprocess.Popen(
            up.command("listen", "--json", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> "Listening":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=10)

    def wait(self, kind: str) -> dict[str, Any]:
        """The next message of this type; others before it are passed over."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message["type"] == kind:
                return message
        raise AssertionError(f"`homing listen` ended with status {self.process.wait()} before any {kind}")


def is_gone(pid: int) -> bool:
    """Whether no process has this pid (a zombie that init has yet to collect counts as gone)."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def wait_gone(pids: list[int], within: float = 10.0) -> None:
    """Until none of them is left."""
    deadline = time.monotonic() + within
    while left := [pid for pid in pids if not is_gone(pid)]:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.02)
