"""Which buses are compared: those that are here; why one is not is said, and having none is an error."""

from pathlib import Path

import pytest

from bench.compare.compare import buses_here
from homing.cluster.trouble import CommandError


def test_without_kafka_redis_alone_is_compared_and_it_is_said_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", "")
    notes: list[str] = []
    assert buses_here(("redis", "kafka"), "", notes.append) == ["redis"]
    assert len(notes) == 1
    assert notes[0].startswith("not compared over Kafka: ")
    with pytest.raises(CommandError, match="no bus"):
        buses_here(("kafka",), "", notes.append)


def test_a_kafka_that_was_named_needs_none_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    assert buses_here(("redis", "kafka"), "127.0.0.1:9092", pytest.fail) == ["redis", "kafka"]
