"""Starts modules of `bench` as processes of their own.

In a checkout the repository is on the path by the editable install. In a wheel `bench` is below `homing/_services`,
which only the command puts on `sys.path`; a child process gets that folder by PYTHONPATH.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `module` with this interpreter; the working folder is not on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment, with the folder of `bench` and the services first in PYTHONPATH."""
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])}
