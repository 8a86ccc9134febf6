import pytest

from homing.cluster import file
from homing.cluster.trouble import CommandError

CLUSTER = file.Cluster(
    etcd=["127.0.0.1:1"],
    redis="redis://127.0.0.1:2/0",
    gateways=[file.Gateway("g", "ws://127.0.0.1:3/ws", 4)],
    routers=[file.Router("127.0.0.1:5", "127.0.0.1:6", 7)],
    servers={"etcd": 8, "redis": 9},
)


def test_what_is_written_is_read(tmp_path):
    file.write(tmp_path, CLUSTER)
    assert file.read(tmp_path) == CLUSTER
    assert [path.name for path in tmp_path.iterdir()] == ["cluster.json"]


def test_writing_again_replaces_it_for_a_reader_that_has_it_open(tmp_path):
    file.write(tmp_path, CLUSTER)
    with file.path(tmp_path).open() as before:
        file.write(tmp_path, file.Cluster(etcd=[], redis="", gateways=[], routers=[], servers={}))
        assert '"127.0.0.1:1"' in before.read()
    assert file.read(tmp_path).etcd == []


def test_no_file_says_how_to_get_one(tmp_path):
    with pytest.raises(CommandError, match=r"cluster\.json does not exist; start one with `homing up`"):
        file.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"etcd": 1}', "[]"])
def test_a_file_of_another_kind_is_named(tmp_path, text):
    file.path(tmp_path).write_text(text)
    with pytest.raises(CommandError, match="is not a cluster file"):
        file.read(tmp_path)


def test_removing_twice_is_fine(tmp_path):
    file.write(tmp_path, CLUSTER)
    file.remove(tmp_path)
    file.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
