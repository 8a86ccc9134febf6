"""Where Kafka and Java are searched, the errors when they are missing, and the broker's properties."""

import base64
import struct

import pytest

from homing.cluster import kafka
from homing.cluster.errors import CommandError


@pytest.fixture
def java_home(tmp_path):
    program = tmp_path / "java-home" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path / "java-home"


def jars(folder):
    (folder / "libs").mkdir(parents=True)
    (folder / "libs" / "kafka_2.13-4.3.1.jar").touch()
    return folder / "libs"


def test_java_home_goes_before_path(java_home, tmp_path):
    assert kafka.find_java({"JAVA_HOME": str(java_home), "PATH": "/nowhere"}) == f"{java_home}/bin/java"
    assert kafka.find_java({"JAVA_HOME": str(tmp_path), "PATH": f"{java_home}/bin"}) == f"{java_home}/bin/java"


def test_a_missing_java_is_reported_with_both_alternatives(tmp_path):
    with pytest.raises(CommandError, match=r"needs java.*--kafka HOST:PORT.*--bus redis"):
        kafka.find_java({"PATH": str(tmp_path)})


def test_kafka_home_goes_before_the_checkout(tmp_path):
    home, checkout = jars(tmp_path / "home"), tmp_path / "checkout"
    own = jars(checkout / ".tools" / "kafka")
    assert kafka.find_libs({"KAFKA_HOME": str(tmp_path / "home")}, checkout) == home
    assert kafka.find_libs({}, checkout) == own


def test_a_kafka_home_without_jars_is_named(tmp_path):
    with pytest.raises(CommandError, match=rf"KAFKA_HOME={tmp_path} has no libs/kafka_\*\.jar"):
        kafka.find_libs({"KAFKA_HOME": str(tmp_path)}, tmp_path)


def test_a_missing_kafka_names_make_kafka_in_a_checkout_only(tmp_path):
    with pytest.raises(CommandError, match=r"no Kafka here: download Apache Kafka, or name its .*; --kafka"):
        kafka.find_libs({}, tmp_path)
    (tmp_path / "Makefile").touch()
    with pytest.raises(CommandError, match="no Kafka here: `make kafka` installs one"):
        kafka.find_libs({}, tmp_path)


def test_the_properties_have_the_ports_and_the_folder(tmp_path):
    file = kafka.write_properties(tmp_path, 9, 10, {"broker.session.timeout.ms": "1"})
    properties = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9,CONTROLLER://127.0.0.1:10"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:10"
    assert properties["log.dir"] == str(tmp_path / "data")
    assert properties["broker.session.timeout.ms"] == "1"


def test_a_cluster_id_is_sixteen_random_bytes():
    one, other = kafka.cluster_id(), kafka.cluster_id()
    assert len(one) == 22
    assert len(base64.urlsafe_b64decode(one + "==")) == 16
    assert one != other


@pytest.mark.parametrize(
    ("response", "ready"),
    [
        (struct.pack(">iii", 40, 1, 1), True),
        (struct.pack(">iii", 40, 1, 0), False),
        (struct.pack(">iii", 40, 2, 1), False),
        (b"HTTP/1.1 400", False),
        (b"", False),
    ],
)
def test_a_broker_is_ready_when_its_metadata_lists_a_broker(response, ready):
    assert kafka.lists_a_broker(response) is ready


def test_a_folder_of_any_name_is_escaped_for_java(tmp_path):
    folder = tmp_path / "r\u00fcn \U0001f642"
    folder.mkdir()
    text = kafka.write_properties(folder, 1, 2).read_bytes().decode("ascii")
    assert "log.dir=" in text
    assert "r\\u00fcn \\ud83d\\ude42/data" in text


async def test_a_folder_with_a_comma_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(kafka, "find_java", lambda: "java")
    monkeypatch.setattr(kafka, "find_libs", lambda: tmp_path)
    with pytest.raises(CommandError, match="comma in the name; use another --run-dir"):
        await kafka.start_kafka(tmp_path / "a, b")
