"""`DIR/cluster.json`: the addresses and pids of a running cluster, for the other verbs and for programs.

The file exists exactly while the whole cluster is up: `homing up` writes it after the last process reported ready, and
removes it before the first process is stopped. A process that dies meanwhile is removed from the file.
"""

import os
from pathlib import Path

import msgspec

from homing.cluster.errors import CommandError

NAME = "cluster.json"


class GatewayEntry(msgspec.Struct, frozen=True):
    """One gateway; clients connect to `url`."""

    node_id: str
    url: str
    pid: int


class RouterEntry(msgspec.Struct, frozen=True):
    """One router: the addresses of its gRPC API, its HTTP API and its administration, each host:port."""

    grpc: str
    http: str
    admin: str
    pid: int


class ClusterFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of the file. `servers`: pids of the servers that `up` started itself, by name; may be empty."""

    etcd: list[str]
    redis: str
    gateways: list[GatewayEntry]
    routers: list[RouterEntry]
    servers: dict[str, int]
    kafka: str = ""  # host:port[,...]; absent from the file when the cluster has no Kafka


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
        return msgspec.json.decode(file.read_bytes(), type=ClusterFile)
    except FileNotFoundError:
        raise CommandError(
            f"no cluster here: {file} does not exist; start one with `homing up`, "
            "or name another with --run-dir or --router"
        ) from None
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise CommandError(f"{file} is not a cluster file: {error}") from None
