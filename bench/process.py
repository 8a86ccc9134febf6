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

ROOT = Path(__file__).resolve().parents[1]


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `module` with this interpreter; the working folder is not on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment, with the folder of `bench` and the services first in PYTHONPATH."""
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])}


_LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, kept by exec
if os.getppid() == int(sys.argv[1]):  # the parent had not died before the request
    os.execvp(sys.argv[2], sys.argv[2:])
"""


def killed_with_parent(command: Sequence[str]) -> list[str]:
    """The command, which the kernel kills when this process dies; on systems other than Linux the command alone.

    A program of its own asks for that and then becomes the command. A preexec_fn would run in a fork of this process,
    whose threads may be gRPC's: such a child sometimes aborted before it started.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]


@contextlib.contextmanager
def child_process(command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """A process in this environment, its stdin and stdout as pipes of text; killed at the end, and with this one."""
    process = subprocess.Popen(
        killed_with_parent(command),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
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
