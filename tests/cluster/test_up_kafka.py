"""`homing up --bus kafka`: a broker of its own, a client's event on it, a command from it; and what it says without."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kafka import headers, producing, read, require_kafka
from tests.support.up import HOMING, Listening, Up, wait_gone

pytestmark = pytest.mark.timeout(120)


def test_events_go_to_a_kafka_of_its_own_and_commands_come_from_it(tmp_path: Path) -> None:
    require_kafka()
    with Up(tmp_path, "--bus", "kafka", "--gateways", "1") as up:
        cluster, pids = up.cluster, up.pids
        assert set(cluster["servers"]) == {"etcd", "redis", "kafka"}
        with Listening(up, "--user", "ada", "--file", "notes") as listening:
            listening.wait("hello")
            came, joined = asyncio.run(read(cluster["kafka"], "homing.events", 2))
            assert {headers(one)["X-Event"] for one in (came, joined)} == {"connect", "message"}
            asyncio.run(push_over_kafka(cluster["kafka"]))
            assert listening.wait("event")["data"] == {"over": "kafka"}
        assert up.stop() == 0
    wait_gone(pids)


async def push_over_kafka(endpoint: str) -> None:
    async with producing(endpoint) as producer:
        push = {"target": {"file": "notes"}, "event": "hi", "json": {"over": "kafka"}}
        body = json.dumps(push).encode()
        await producer.send_and_wait("homing.commands", body, headers=[("X-Operator", b"unicast")])


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PATH": str(Path(sys.executable).parent), "JAVA_HOME": ""}, "Kafka needs java"),
        ({"KAFKA_HOME": "/nowhere"}, "KAFKA_HOME=/nowhere has no libs/kafka_*.jar"),
    ],
)
def test_without_java_or_kafka_it_says_what_to_do_and_leaves_nothing(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    require_kafka()  # the second case needs a java
    command = [*HOMING, "up", "--ports", "random", "--bus", "kafka", "--run-dir", str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert words in done.stderr
    assert "--kafka HOST:PORT names one that runs already" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cluster.json").exists()
