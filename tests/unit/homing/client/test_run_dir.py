"""`Router.from_run_dir`: the routers of the cluster that runs here."""

from pathlib import Path

import pytest

from homing import NoCluster, Router, SyncRouter
from homing.client.run_dir import run_dir_routers
from homing.cluster import cluster_file
from homing.cluster.cluster_file import ClusterFile, RouterEntry


def write(run_dir: Path, *routers: str) -> None:
    entries = [RouterEntry(grpc, "h:1", "a:1", 7) for grpc in routers]
    cluster_file.write(run_dir, ClusterFile(etcd=["e:1"], redis="", gateways=[], routers=entries, servers={}))


def test_the_routers_of_the_file_that_up_writes(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1:8500", "127.0.0.1:8510")
    assert run_dir_routers(tmp_path) == ["127.0.0.1:8500", "127.0.0.1:8510"]
    assert isinstance(Router.from_run_dir(tmp_path, connect_timeout=1), Router)
    with SyncRouter.from_run_dir(str(tmp_path)) as router:
        assert isinstance(router, SyncRouter)


def test_no_cluster_is_an_error_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(NoCluster, match=r"cluster\.json does not exist; start one with `homing up`"):
        Router.from_run_dir(tmp_path)
    (tmp_path / "cluster.json").mkdir()
    with pytest.raises(NoCluster, match="cannot read"):
        Router.from_run_dir(tmp_path)
    (tmp_path / "cluster.json").rmdir()
    (tmp_path / "cluster.json").write_text('{"routers": 7}')
    with pytest.raises(NoCluster, match="not the file of a cluster"):
        Router.from_run_dir(tmp_path)
    write(tmp_path)
    with pytest.raises(NoCluster, match="names no router"):
        Router.from_run_dir(tmp_path)
