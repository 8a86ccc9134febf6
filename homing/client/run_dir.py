"""The routers of a cluster that `homing up` runs on this machine, by its file DIR/cluster.json."""

import os
from pathlib import Path

import msgspec

from homing.client.errors import NoCluster

CLUSTER_FILE = "cluster.json"


class _Router(msgspec.Struct):
    grpc: str


class _Cluster(msgspec.Struct):
    routers: list[_Router]


def run_dir_routers(run_dir: str | os.PathLike[str]) -> list[str]:
    """The gRPC address of each router, host:port. NoCluster: no cluster runs here, or none of its routers."""
    file = Path(run_dir) / CLUSTER_FILE
    try:
        cluster = msgspec.json.decode(file.read_bytes(), type=_Cluster)
    except FileNotFoundError:
        raise NoCluster(f"no cluster runs here: {file} does not exist; start one with `homing up`") from None
    except OSError as error:
        raise NoCluster(f"cannot read {file}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise NoCluster(f"{file} is not the file of a cluster: {error}") from None
    if not cluster.routers:
        raise NoCluster(f"{file} names no router: all have died; stop `homing up` and start it again")
    return [router.grpc for router in cluster.routers]
