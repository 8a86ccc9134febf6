"""`DIR/cluster.json`: what runs where, for the people's verbs and for other programs.

It is there if and only if the whole cluster was ready: written in one rename after the last part has said so, and
removed before the first part is stopped. A part that dies meanwhile is taken out of it.
"""

import os
from pathlib import Path

import msgspec

from homing.cluster.trouble import CommandError

NAME = "cluster.json"


class Gateway(msgspec.Struct, frozen=True):
    """One gateway: clients dial `url`."""

    node_id: str
    url: str
    pid: int


class Router(msgspec.Struct, frozen=True):
    """One router: its gRPC and its HTTP address, each host:port."""

    grpc: str
    http: str
    pid: int


class Cluster(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole file. `servers` holds the pids of the servers that `up` itself started, so maybe none."""

    etcd: list[str]
    redis: str
    gateways: list[Gateway]
    routers: list[Router]
    servers: dict[str, int]
    kafka: str = ""  # host:port[,...]; not in the file when there is no Kafka


def path(run_dir: Path) -> Path:
    """Where the file of this run-dir lies."""
    return run_dir / NAME


def write(run_dir: Path, cluster: Cluster) -> None:
    """Write the file in one step: a reader sees the old one or the new one, never half of one."""
    draft = run_dir / f".{NAME}.{os.getpid()}"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(cluster), indent=2) + b"\n")
    draft.replace(path(run_dir))


def remove(run_dir: Path) -> None:
    """Remove the file; that it is gone already is fine."""
    path(run_dir).unlink(missing_ok=True)


def read(run_dir: Path) -> Cluster:
    """The cluster of this run-dir. Trouble: there is none, or the file cannot be read."""
    place = path(run_dir)
    try:
        return msgspec.json.decode(place.read_bytes(), type=Cluster)
    except FileNotFoundError:
        raise CommandError(
            f"no cluster here: {place} does not exist; start one with `homing up`, "
            "or name another with --run-dir or --router"
        ) from None
    except OSError as error:
        raise CommandError(f"cannot read {place}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise CommandError(f"{place} is not a cluster file: {error}") from None
