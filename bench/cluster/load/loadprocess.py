"""A process of the load generator, as its parent has it: one JSON object a line each way.

It cannot outlive the parent: the kernel ends it (homing.cluster.process), and so does the end of its stdin.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

from bench.cluster.rig import cpu_of, rss_of
from bench.process import environment, module_command
from homing.cluster.process import die_with
from homing.cluster.trouble import CommandError

Told = dict[str, Any]


class LoadProcess:
    """`python -m MODULE`, told what it is by its first line."""

    def __init__(self, module: str, **first: object) -> None:
        self._module = module
        self._process = subprocess.Popen(
            module_command(module),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the parent alone
            preexec_fn=die_with(os.getpid()),
        )
        self.write(first)
        self._started = False

    def wait_started(self) -> "LoadProcess":
        """Until it has read its first line, so that its start is not counted as work. Trouble: it has died."""
        if not self._started:
            self.read()
            self._started = True
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def write(self, line: Told) -> None:
        """Say something. Trouble: it is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._trouble() from None

    def read(self) -> Told:
        """The next line. Trouble: there is none, because it has died."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._trouble()
        told: Told = json.loads(line)
        return told

    def ask(self, do: str, **more: object) -> Told:
        """Give a command; the answer is what it has counted."""
        self.write({"do": do, **more})
        return self.read()

    def used(self) -> float:
        """Seconds of CPU."""
        return cpu_of(self.pid)

    def rss(self) -> int:
        """Bytes."""
        return rss_of(self.pid)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _trouble(self) -> CommandError:
        return CommandError(
            f"a part of the load generator has died: {self._module}, exit status {self._process.wait()}"
        )


@contextlib.contextmanager
def load_process(module: str, **first: object) -> Iterator[LoadProcess]:
    """A process of the load generator, ended at the end."""
    made = LoadProcess(module, **first)
    try:
        yield made.wait_started()
    finally:
        made.close()
