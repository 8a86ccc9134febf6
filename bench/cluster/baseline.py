"""A baseline server for one measurement, as its parent controls it."""

import contextlib
import subprocess
from collections.abc import Iterator

from bench.cluster.process_usage import cpu_seconds, rss_bytes
from bench.process import child_process, module_command, write_line


class BaselineServer:
    """A running `bench.cluster.baseline_process`: its port, its CPU and memory, and its stdin and stdout."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        line = self.read_line()
        if not line:
            raise RuntimeError(f"the baseline server ended before it listened, with status {process.wait()}")
        self.port = int(line)

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
        write_line(self._process, line)


@contextlib.contextmanager
def baseline_server(mode: str, *arguments: str) -> Iterator[BaselineServer]:
    """A baseline server, killed at the end. `mode`, `arguments`: see bench.cluster.baseline_process."""
    with child_process(module_command("bench.cluster.baseline_process", mode, *arguments)) as process:
        yield BaselineServer(process)
