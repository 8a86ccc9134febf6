"""A worker process of the load generator, as its parent controls it: one JSON object per line in each direction.

A worker cannot outlive its parent: the kernel kills it (homing.cluster.process), and the end of its stdin ends it.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

from bench.cluster.process_usage import cpu_seconds, rss_bytes
from bench.process import environment, killed_with_parent, module_command
from homing.cluster.errors import CommandError

Json = dict[str, Any]


class WorkerProcess:
    """`python -m MODULE`, whose settings are the first line of its stdin."""

    def __init__(self, module: str, **settings: object) -> None:
        self._module = module
        self._process = subprocess.Popen(
            killed_with_parent(module_command(module)),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the parent alone
        )
        self.send(settings)
        self._started = False

    def wait_started(self) -> "WorkerProcess":
        """Wait until the worker has read its settings: its start is not measured. CommandError: the worker died."""
        if not self._started:
            self.receive()
            self._started = True
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, message: Json) -> None:
        """Send one message. CommandError: the worker has died."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._death() from None

    def receive(self) -> Json:
        """The next message. CommandError: the worker has died."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._death()
        message: Json = json.loads(line)
        return message

    def request(self, command: str, **arguments: object) -> Json:
        """Run a command in the worker. Returns the worker's counts."""
        self.send({"command": command, **arguments})
        return self.receive()

    def cpu_seconds(self) -> float:
        """Seconds of CPU used."""
        return cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        """Bytes of resident memory."""
        return rss_bytes(self.pid)

    def close(self) -> None:
        """Kill the process and wait for its exit."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _death(self) -> CommandError:
        status = self._process.wait()
        return CommandError(f"a worker of the load generator has died: {self._module}, exit status {status}")


@contextlib.contextmanager
def worker_process(module: str, **settings: object) -> Iterator[WorkerProcess]:
    """A started worker, killed at the end."""
    worker = WorkerProcess(module, **settings)
    try:
        yield worker.wait_started()
    finally:
        worker.close()
