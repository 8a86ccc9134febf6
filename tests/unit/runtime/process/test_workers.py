"""Several workers of a service, forked for real; each does what a test says and ends."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.process import listening, worker_service, workers
from runtime.process.lifecycle import StartupError
from runtime.process.workers import Worker, WorkerGroup, open_own, open_shared

ADDRESS = "127.0.0.1:0"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(workers, "MAX_DELAY", 0.002)


def print_ready(worker: Worker) -> None:
    os.write(
        1, b"a line that is no JSON\n" + json.dumps({"number": worker.number, "pid": os.getpid()}).encode() + b"\n"
    )


def wait_signal(worker: Worker) -> int:
    """Ready, then the life of a service that stops on request."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    print_ready(worker)
    return 0 if signal.sigwait({signal.SIGTERM, signal.SIGHUP}) == signal.SIGTERM else 7


def run(serve: Callable[[Worker], int], on_ready: Callable[[list[Worker]], None], count: int = 2) -> int:
    group = [Worker(number) for number in range(count)]
    open_shared(group, "test", {"listen": ADDRESS})
    return WorkerGroup(group, serve, lambda: on_ready(group)).run()


def stop(_group: list[Worker]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_all_are_ready_then_all_are_stopped() -> None:
    seen: list[dict[str, int]] = []

    def on_ready(group: list[Worker]) -> None:
        seen.extend(worker.ready or {} for worker in group)
        stop(group)

    before = signal.getsignal(signal.SIGTERM)
    assert run(wait_signal, on_ready) == 0
    assert [one["number"] for one in seen] == [0, 1]
    assert len({one["pid"] for one in seen}) == 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    def serve(worker: Worker) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
        lives = tmp_path / str(worker.number)
        with lives.open("a") as file:
            file.write("x")
        if worker.number == 0 and lives.stat().st_size < 3:
            print_ready(worker)
            raise RuntimeError("an error that nobody expected")
        if worker.number == 0:
            while not (tmp_path / "1").exists():
                os.sched_yield()
            os.kill(os.getppid(), signal.SIGTERM)
        return wait_signal(worker)

    assert run(serve, lambda _group: None) == 0
    assert ((tmp_path / "0").read_text(), (tmp_path / "1").read_text()) == ("xxx", "x")


def test_one_that_does_not_become_ready_ends_all() -> None:
    assert run(lambda worker: 3 if worker.number else wait_signal(worker), lambda _group: None) == 3
    assert run(lambda worker: os.kill(os.getpid(), 9) or 0 if worker.number else wait_signal(worker), stop) == 1


def test_sighup_goes_on_to_all_and_a_failure_at_the_stop_is_the_exit_code() -> None:
    def on_ready(group: list[Worker]) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        stop(group)

    assert run(wait_signal, on_ready) == 1


def test_each_has_sockets_of_its_own_and_takes_them() -> None:
    group = [Worker(0), Worker(1)]
    open_shared(group, "test", {"listen": ADDRESS})
    open_own(group, "test", {"admin": ADDRESS})
    assert len({worker.addresses["listen"] for worker in group}) == 1
    assert len({worker.addresses["admin"] for worker in group}) == 2
    port = int(group[0].addresses["listen"].rpartition(":")[2])
    listening.take_lent({("127.0.0.1", port): group[0].sockets["127.0.0.1", port]})
    assert listening._lent.pop(("127.0.0.1", port)).getsockname() == ("127.0.0.1", port)
    for worker in group:
        for sock in worker.sockets.values():
            sock.close()


async def test_a_lent_socket_is_listened_on() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    listening.take_lent({("127.0.0.1", port): sock})
    server = await listening.create_listener(lambda: None, "127.0.0.1", port)  # type: ignore[arg-type, return-value]
    assert server.sockets[0].getsockname()[1] == port
    server.close()


def test_an_address_in_use_names_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartupError, match=rf"test.listen: cannot listen on {address}"):
            open_shared([Worker(0)], "test", {"listen": address})
        own = {"admin": ADDRESS}
        assert worker_service.run_workers(2, "test", {"listen": address}, own, (), wait_signal) == 1
    assert "test.listen: cannot listen on" in capsys.readouterr().err


def test_the_service_prints_one_ready_line_for_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_line = worker_service._print_ready

    def print_and_stop(group: list[Worker], administrator: Worker) -> None:
        print_line(group, administrator)
        stop(group)

    monkeypatch.setattr(worker_service, "_print_ready", print_and_stop)
    assert worker_service.run_workers(2, "test", {}, {"admin": ADDRESS}, (), wait_signal) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["pid"] == os.getpid()
    assert [worker["number"] for worker in line["workers"]] == [0, 1]
    assert line["admin"].startswith("127.0.0.1:")
