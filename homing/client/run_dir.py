"""`DIR/cluster.json`: the addresses and pids of the cluster that `homing up` runs on this machine."""

import os
from pathlib import Path

import msgspec

from homing.client.arguments import check_path
from homing.client.errors import NoCluster

CLUSTER_FILE = "cluster.json"


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


def read_cluster(file: Path) -> ClusterFile:
    """The cluster of a file. FileNotFoundError. NoCluster: the file cannot be read, or is not that of a cluster."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=ClusterFile)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NoCluster(f"cannot read {file}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoCluster(f"{file} is not the file of a cluster: {error}") from None


def run_dir_routers(run_dir: str | os.PathLike[str]) -> list[str]:
    """The gRPC address of each router, host:port. NoCluster: no cluster runs here, or none of its routers."""
    file = check_path("run_dir", run_dir) / CLUSTER_FILE
    try:
        cluster = read_cluster(file)
    except FileNotFoundError:
        raise NoCluster(f"no cluster runs here: {file} does not exist; start one with `homing up`") from None
    if not cluster.routers:
        raise NoCluster(f"{file} names no router: all have died; stop `homing up` and start it again")
    return [router.grpc for router in cluster.routers]
