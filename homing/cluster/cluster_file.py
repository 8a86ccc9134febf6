"""`DIR/cluster.json`: the addresses and pids of a running cluster, for the other verbs and for programs.

The file exists exactly while the whole cluster is up: `homing up` writes it after the last process reported ready, and
removes it before the first process is stopped. A process that dies meanwhile is removed from the file.
"""

import os
from pathlib import Path

import msgspec

from homing.client.errors import NoCluster
from homing.client.run_dir import CLUSTER_FILE as NAME
from homing.client.run_dir import ClusterFile as ClusterFile
from homing.client.run_dir import GatewayEntry as GatewayEntry
from homing.client.run_dir import RouterEntry as RouterEntry
from homing.client.run_dir import read_cluster
from homing.cluster.errors import CommandError


def path(run_dir: Path) -> Path:
    """The path of this run-dir's file."""
    return run_dir / NAME


def write(run_dir: Path, cluster: ClusterFile) -> None:
    """Replace the file atomically: a reader sees the old content or the new content, never a part."""
    draft = run_dir / f".{NAME}.{os.getpid()}"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(cluster), indent=2) + b"\n")
    draft.replace(path(run_dir))


def remove(run_dir: Path) -> None:
    """Remove the file. Idempotent."""
    path(run_dir).unlink(missing_ok=True)


def read(run_dir: Path) -> ClusterFile:
    """The cluster of this run-dir. CommandError: no cluster is running, or the file cannot be read."""
    file = path(run_dir)
    try:
        return read_cluster(file)
    except FileNotFoundError:
        raise CommandError(
            f"no cluster here: {file} does not exist; start one with `homing up`, "
            "or name another with --run-dir or --router"
        ) from None
    except NoCluster as error:
        raise CommandError(str(error)) from None
