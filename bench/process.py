"""Starts modules of `bench` as processes of their own.

In a checkout the repository is on the path by the editable install. In a wheel `bench` is below `homing/_services`,
which only the command puts on `sys.path`; a child process gets that folder by PYTHONPATH.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from homing.cluster.process import kill_with_parent

ROOT = Path(__file__).resolve().parents[1]


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `module` with this interpreter; the working folder is not on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment, with the folder of `bench` and the services first in PYTHONPATH."""
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])}


@contextlib.contextmanager
def child_process(command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """A process in this environment, its stdin and stdout as pipes of text; killed at the end, and with this one."""
    process = subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=kill_with_parent(os.getpid()),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def write_line(process: "subprocess.Popen[str]", line: str) -> None:
    """Write a line to the stdin of a `child_process`."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
