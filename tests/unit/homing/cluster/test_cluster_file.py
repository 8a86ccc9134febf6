import pytest

from homing.cluster import cluster_file
from homing.cluster.errors import CommandError

CLUSTER = cluster_file.ClusterFile(
    etcd=["127.0.0.1:1"],
    redis="redis://127.0.0.1:2/0",
    gateways=[cluster_file.GatewayEntry("g", "ws://127.0.0.1:3/ws", 4)],
    routers=[cluster_file.RouterEntry("127.0.0.1:5", "127.0.0.1:6", "127.0.0.1:8", 7)],
    servers={"etcd": 8, "redis": 9},
)


def test_what_is_written_is_read(tmp_path):
    cluster_file.write(tmp_path, CLUSTER)
    assert cluster_file.read(tmp_path) == CLUSTER
    assert [path.name for path in tmp_path.iterdir()] == ["cluster.json"]


def test_writing_again_replaces_it_for_a_reader_that_has_it_open(tmp_path):
    cluster_file.write(tmp_path, CLUSTER)
    with cluster_file.path(tmp_path).open() as before:
        cluster_file.write(tmp_path, cluster_file.ClusterFile(etcd=[], redis="", gateways=[], routers=[], servers={}))
        assert '"127.0.0.1:1"' in before.read()
    assert cluster_file.read(tmp_path).etcd == []


def test_a_missing_file_names_the_command_that_starts_a_cluster(tmp_path):
    with pytest.raises(CommandError, match=r"cluster\.json does not exist; start one with `homing up`"):
        cluster_file.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"etcd": 1}', "[]"])
def test_a_file_with_other_content_is_named(tmp_path, text):
    cluster_file.path(tmp_path).write_text(text)
    with pytest.raises(CommandError, match="is not the file of a cluster"):
        cluster_file.read(tmp_path)


def test_removing_is_idempotent(tmp_path):
    cluster_file.write(tmp_path, CLUSTER)
    cluster_file.remove(tmp_path)
    cluster_file.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
