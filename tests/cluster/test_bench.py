"""The scenarios of `homing bench`, small, against a real cluster; a terminated run leaves nothing behind."""

import os
import resource
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from bench.cluster import article, connections, echo, fanout, headline, limits, machine, mixed, storm, unicast
from bench.cluster.bench_cluster import BenchCluster, start_cluster
from bench.cluster.brokers import brokers
from bench.cluster.load.client_pool import client_pool
from tests.support.up import HOMING, Up, wait_gone

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def cluster(shared_up: Up) -> BenchCluster:
    return BenchCluster(shared_up.cluster, shared_up.run_dir)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses matter for memory figures only, which these tests do not check."""
    for module in (storm, headline):
        monkeypatch.setattr(module, "SETTLE_TIME", 0.1)
    monkeypatch.setattr(article, "SETTLE_TIME", 0.2)


def ignore_progress(_line: str) -> None:
    pass


def test_unicast_through_the_stream(cluster):
    figures = unicast.unicast(cluster, 10, 100, 1.0, unary=False, trace="sampled")
    assert (figures["pushes"], figures["written"], figures["received"]) == (100, 100, 100)
    assert [figures[name] for name in ("lost", "undelivered", "unreported", "duplicated")] == [0, 0, 0, 0]
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["cpu_us"]["pusher"] < 2000


def test_unicast_one_call_each(cluster):
    figures = unicast.unicast(cluster, 10, 50, 1.0, unary=True)
    assert (figures["written"], figures["received"]) == (50, 50)


def test_unicast_in_a_closed_loop(cluster):
    figures = unicast.closed_loop(cluster, 10, 1.0, outstanding=50)
    assert figures["valid"]
    assert figures["pushes_per_s"] > 100


def test_over_tls_handshakes_are_full_and_then_resumed():
    with start_cluster(1, tls=True) as cluster:
        figures = connections.connects(cluster, 20)
        assert (figures["refused"], figures["resumed_refused"]) == (0, 0)
        assert figures["resumed_handshakes"] >= 20
        figures = fanout.fanout(cluster, 20, 10, 1.0)
        assert figures["delivered"] == figures["expected"] == figures["received"] == 200
        assert echo.echo(cluster, 0.5)["echoes"] > 20


def test_fanout(cluster):
    figures = fanout.fanout(cluster, 20, 10, 1.0)
    assert figures["delivered"] == figures["expected"] == figures["received"] == 200


def test_connects(cluster):
    figures = connections.connects(cluster, 40)
    assert figures["refused"] == 0
    assert figures["gateway_to_baseline"] > 0


def test_after_a_storm_every_client_is_reachable(cluster):
    figures = storm.storm(cluster, 60, 500, 500, False, ignore_progress)
    assert figures["valid"]
    assert (figures["reconnected"], figures["outcomes_after"]) == (60, {"WRITTEN": 60})
    assert (figures["heartbeats_missed"], figures["lost"], figures["undelivered"]) == (0, 0, 0)


def test_mixed(cluster, monkeypatch):
    monkeypatch.setattr(mixed, "USERS", 10)
    figures = mixed.mixed(cluster, 30, 50, 5, 1.0, ignore_progress)
    assert figures["beside"]["received"] == figures["beside"]["written"] == 50
    assert figures["delivered"] == figures["received"] == figures["expected"] == 150


def test_the_articles_scenarios(cluster):
    figures = article.article(cluster, article.ArticleSize(1, 250, 1.0, 500), machine.usable_cores(), ignore_progress)
    rows = {row["scenario"]: row for row in figures["rows"]}
    assert [row["lost"] + row["undelivered"] + row["duplicated"] for row in figures["rows"][1:]] == [0, 0, 0]
    assert rows["pushes"]["outcomes"] == {"WRITTEN": 50}
    assert rows["pushes with acks"]["outcomes"] == {"ACKED": 50}
    assert rows["acks and churn"]["connects_per_s"] >= 1
    text = article.table(figures)
    assert text.count("the article, a core") == 4


def test_the_headline_measures_the_memory_of_each_part(cluster):
    figures = headline.headline(cluster, 50, 500, ignore_progress)
    assert (figures["reached"], figures["stopped_by"]) == (50, "nothing: all users connected")
    assert set(figures["kb_per_session"]) == {"gateways", "routers", "etcd", "redis", "clients", "kernel"}


def test_the_headline_stops_when_memory_is_short(cluster):
    figures = headline.headline(cluster, 500, 200, ignore_progress, min_free=1 << 60)
    assert figures["reached"] < 500
    assert figures["stopped_by"].startswith("memory: ")


def test_refused_connects_are_counted():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with client_pool([f"ws://127.0.0.1:{port}/ws"], b"", 3) as pool:
        pool.open(3, 1000)
        assert pool.wait(lambda counts: counts.refused["ECONNREFUSED"] + counts.refused["connect"] >= 3, 10)
        assert pool.counts().live == 0


def test_brokers_without_a_kafka(monkeypatch, tmp_path):
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    figures = brokers(0.3, 100, "", ignore_progress, sizes=(1000,))
    assert "KAFKA_HOME" in figures["kafka"]
    assert [(row["broker"], row["lost"]) for row in figures["rows"]] == [("redis pub/sub", 0), ("redis streams", 0)]
    assert all(row["messages_per_s"] > 100 and row["p50_ms"] > 0 for row in figures["rows"])


def test_a_file_limit_that_is_too_low():
    done = subprocess.run(
        [*HOMING, "bench", "storm", "--users", "3000"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500)),
        timeout=30,
    )
    assert done.returncode == 1
    assert f"Possible here: {2 * (500 - limits.RESERVED_FILES)} clients, or 10 gateways" in done.stderr
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
    """The processes that were started with this variable. Not found: zombies, which have no environment, and processes
    that have overwritten their title, as Redis does."""
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
def test_a_terminated_run_leaves_nothing_behind(number, processes, tmp_path):
    """The signal is sent when `processes` have been started: at the start, half-way, under load."""
    mark = uuid.uuid4().hex
    running = subprocess.Popen(
        [*HOMING, "bench", "fanout", "--clients", "50", "--seconds", "60"],
        env={**os.environ, "TEST_MARK": mark, "TMPDIR": str(tmp_path)},
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
