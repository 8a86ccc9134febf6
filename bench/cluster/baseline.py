"""A baseline server for one measurement, as its parent controls it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator

from bench.cluster.process_usage import cpu_seconds, rss_bytes
from bench.process import environment, module_command
from homing.cluster.process import kill_with_parent


class BaselineServer:
    """A running `bench.cluster.baseline_process`: its port, its CPU and memory, and its stdin and stdout."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self.read_line())

    def cpu_seconds(self) -> float:
        """Seconds of CPU used."""
        return cpu_seconds(self._process.pid)

    def rss_bytes(self) -> int:
        """Bytes of resident memory."""
        return rss_bytes(self._process.pid)

    def read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def write_line(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def baseline_server(mode: str, *arguments: str) -> Iterator[BaselineServer]:
    """A baseline server, killed at the end. `mode`, `arguments`: see bench.cluster.baseline_process."""
    process = subprocess.Popen(
        module_command("bench.cluster.baseline_process", mode, *arguments),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=kill_with_parent(os.getpid()),
    )
    try:
        yield BaselineServer(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
