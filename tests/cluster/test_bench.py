"""The scenarios of `homing bench`, small, against a real cluster; and that nothing is left of one that was ended."""

import os
import resource
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from bench.cluster import article, connections, fanout, headline, limits, machine, mixed, rig, storm, unicast
from bench.cluster.brokers import brokers
from bench.cluster.load import crowds
from tests.support.up import HOMING, Up, wait_gone

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def cluster(shared_up: Up) -> rig.Cluster:
    return rig.Cluster(shared_up.cluster, shared_up.run_dir)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are for memory figures, which nobody looks at here."""
    for module in (storm, headline):
        monkeypatch.setattr(module, "SETTLE", 0.1)
    monkeypatch.setattr(article, "PAUSE", 0.2)


def quiet(_line: str) -> None:
    pass


def test_unicast_through_the_stream(cluster):
    told = unicast.unicast(cluster, 10, 100, 1.0, unary=False, trace="sampled")
    assert (told["pushes"], told["written"], told["received"]) == (100, 100, 100)
    assert (told["lost"], told["vanished"], told["untold"], told["twice"]) == (0, 0, 0, 0)
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert told["cpu_us"]["pusher"] < 2000


def test_unicast_one_call_each(cluster):
    told = unicast.unicast(cluster, 10, 50, 1.0, unary=True)
    assert (told["written"], told["received"]) == (50, 50)


def test_as_fast_as_it_goes(cluster):
    told = unicast.flood(cluster, 10, 1.0, outstanding=50)
    assert told["valid"]
    assert told["pushes_per_s"] > 100


def test_fanout(cluster):
    told = fanout.fanout(cluster, 20, 10, 1.0)
    assert told["delivered"] == told["expected"] == told["received"] == 200


def test_connects(cluster):
    told = connections.connects(cluster, 40)
    assert told["refused"] == 0
    assert told["gateway_to_floor"] > 0


def test_a_storm_ends_with_everybody_reachable(cluster):
    told = storm.storm(cluster, 60, 500, 500, False, quiet)
    assert told["valid"]
    assert (told["came_back"], told["reached_after"]) == (60, {"WRITTEN": 60})
    assert (told["pings_missed"], told["lost"], told["vanished"]) == (0, 0, 0)


def test_mixed(cluster, monkeypatch):
    monkeypatch.setattr(mixed, "USERS", 10)
    told = mixed.mixed(cluster, 30, 50, 5, 1.0, quiet)
    assert told["beside"]["received"] == told["beside"]["written"] == 50
    assert told["delivered"] == told["received"] == told["expected"] == 150


def test_the_articles_scenarios(cluster):
    told = article.article(cluster, article.Size(1, 250, 1.0, 500), machine.cores(), quiet)
    rows = {row["scenario"]: row for row in told["rows"]}
    assert [row["lost"] + row["vanished"] + row["twice"] for row in told["rows"][1:]] == [0, 0, 0]
    assert rows["pushes"]["outcomes"] == {"WRITTEN": 50}
    assert rows["pushes with acks"]["outcomes"] == {"ACKED": 50}
    assert rows["acks, come and go"]["connects_per_s"] >= 1
    text = article.table(told)
    assert text.count("the article, a core") == 4


def test_the_headline_counts_what_each_part_holds(cluster):
    told = headline.headline(cluster, 50, 500, quiet)
    assert (told["reached"], told["stopped_by"]) == (50, "nothing: all are there")
    assert set(told["kb_a_session"]) == {"gateways", "routers", "etcd", "redis", "crowd", "kernel"}


def test_the_headline_stops_for_want_of_memory(cluster):
    told = headline.headline(cluster, 500, 200, quiet, least_free=1 << 60)
    assert told["reached"] < 500
    assert told["stopped_by"].startswith("memory: ")


def test_a_gateway_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with crowds.crowds([f"ws://127.0.0.1:{port}/ws"], b"", 3) as crowd:
        crowd.open(3, 1000)
        assert crowd.wait(lambda told: told.refused["ECONNREFUSED"] + told.refused["connect"] >= 3, 10)
        assert crowd.counts().live == 0


def test_brokers_without_a_kafka(monkeypatch, tmp_path):
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    told = brokers(0.3, 100, "", quiet, sizes=(1000,))
    assert "KAFKA_HOME" in told["kafka"]
    assert [(row["broker"], row["lost"]) for row in told["rows"]] == [("redis pub/sub", 0), ("redis streams", 0)]
    assert all(row["messages_per_s"] > 100 and row["p50_ms"] > 0 for row in told["rows"])


def test_a_file_limit_that_is_too_low():
    done = subprocess.run(
        [*HOMING, "bench", "storm", "--users", "3000"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500)),
        timeout=30,
    )
    assert done.returncode == 1
    assert f"Possible here: {2 * (500 - limits.MARGIN)} clients, or 10 gateways" in done.stderr
    assert "ulimit -Hn" in done.stderr


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    parents = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, wave = [], [pid]
    while wave := [child for child, parent in parents.items() if parent in wave]:
        found += wave
    return found


def marked(mark: str) -> list[int]:
    """Processes that were started with this variable, but zombies, which have no environment, and those that have
    written their title over it, as Redis does."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("number", "processes"),
    [(signal.SIGTERM, 1), (signal.SIGTERM, 4), (signal.SIGINT, 7), (signal.SIGKILL, 7)],
)
def test_nothing_is_left_of_a_run_that_was_ended(number, processes, tmp_path):
    """`processes`: the signal comes when so many have been started: at the start, on the way, under load."""
    mark = uuid.uuid4().hex
    running = subprocess.Popen(
        [*HOMING, "bench", "fanout", "--clients", "50", "--seconds", "60"],
        env={**os.environ, "HOMING_TEST_MARK": mark, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 30
        while len(started := descendants(running.pid)) < processes:
            assert time.monotonic() < until
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(number)
        assert running.wait(20) != 0
        wait_gone(started)
        assert marked(mark) == []  # nor anything that was started meanwhile
        assert list(tmp_path.iterdir()) == [] or number == signal.SIGKILL  # no run-dir with its key either
    finally:
        running.kill()
        running.wait()
