"""Which buses are compared: the available ones; a missing bus is reported, and having none is an error."""

from pathlib import Path

import pytest

from bench.compare.compare import available_buses
from homing.cluster.errors import CommandError


def test_without_kafka_redis_alone_is_compared_and_the_reason_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", "")
    notes: list[str] = []
    assert available_buses(("redis", "kafka"), "", notes.append) == ["redis"]
    assert len(notes) == 1
    assert notes[0].startswith("not compared over Kafka: ")
    with pytest.raises(CommandError, match="no bus"):
        available_buses(("kafka",), "", notes.append)


def test_a_running_kafka_needs_no_local_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    assert available_buses(("redis", "kafka"), "127.0.0.1:9092", pytest.fail) == ["redis", "kafka"]
