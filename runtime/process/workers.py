"""Shell: several processes of one service behind one address of each listener, supervised by their parent.

The parent opens every listening socket, before it forks, and keeps it: those of shared addresses once for each worker
(SO_REUSEPORT, so the kernel spreads connections evenly), and those that each worker has for itself. A worker that dies
is replaced by one that takes its sockets, and what waited in them goes to it. Forked workers also share what was read
before, such as the keys of TLS tickets.

The parent runs no event loop and no thread, so that it may fork at any time. It is ready when all workers are. The
first stop signal goes on to all workers, which then ignore others: a terminal and systemd signal them as well as their
parent. The second one kills them. SIGHUP goes on to them, too; those that have no use for it ignore it.
"""

import contextlib
import ctypes
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from runtime.process.addresses import join_address, listen_error, split_address
from runtime.process.lifecycle import StartupError
from runtime.process.listening import BACKLOG, take_lent

PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
FIRST_DELAY, MAX_DELAY = 0.2, 10.0  # seconds before a worker that died is replaced; doubled for each early death
STEADY = 30.0  # seconds after which a death is not early any more

log = logging.getLogger(__name__)

Addresses = dict[str, str]
"""Settings of listeners, and the address, host:port, that each has."""


class Worker:
    """One process of the service, and those that replace it."""

    def __init__(self, number: int, name: str = "") -> None:
        """`name`: in the log; "": worker and the number."""
        self.number = number
        self.name = name or f"worker {number}"
        self.sockets: dict[tuple[str, int], socket.socket] = {}
        self.addresses: Addresses = {}
        self.pid = 0  # 0: none runs
        self.ready: dict[str, Any] | None = None  # what its ready line says
        self.started = 0.0  # monotonic seconds
        self.due = 0.0  # when the next one starts, monotonic seconds
        self.delay = 0.0  # seconds before the last one was replaced
        self.output = -1  # the read end of its stdout
        self.line = b""  # of which the end has not come

    def lend(self, setting: str, sock: socket.socket, host: str) -> None:
        """Give it a socket for the listener of this setting."""
        port = sock.getsockname()[1]
        self.sockets[host, port] = sock
        self.addresses[setting] = join_address(host, port)


def open_shared(workers: list[Worker], section: str, addresses: Mapping[str, str]) -> None:
    """Give each worker a socket on each of these addresses, by setting. StartupError: one cannot be listened on."""
    for setting, address in addresses.items():
        host, port = split_address(address, f"{section}.{setting}")
        if port:  # of another service, which has workers too, the kernel would let both have it
            _open(f"{section}.{setting}", address, host, port, share=False).close()
        for worker in workers:
            sock = _open(f"{section}.{setting}", address, host, port, share=len(workers) > 1)
            port = sock.getsockname()[1]
            worker.lend(setting, sock, host)


def open_own(workers: list[Worker], section: str, addresses: Mapping[str, str]) -> None:
    """Give each worker a free port on the host of each of these addresses, by setting. StartupError as above."""
    for setting, address in addresses.items():
        host, _ = split_address(address, f"{section}.{setting}")
        for worker in workers:
            worker.lend(setting, _open(f"{section}.{setting}", address, host, 0, share=False), host)


def _open(setting: str, address: str, host: str, port: int, share: bool) -> socket.socket:
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(where[:2], family=family, backlog=BACKLOG, reuse_port=share)
    except OSError as error:
        raise listen_error(setting, address, error) from None


class WorkerGroup:
    """Starts workers, replaces those that die, and stops all."""

    def __init__(self, workers: list[Worker], serve: Callable[[Worker], int], on_ready: Callable[[], None]) -> None:
        """`serve` is a worker's whole life, and returns its exit code. `on_ready`: all are ready for the first time."""
        self._workers = workers
        self._serve = serve
        self._on_ready = on_ready
        self._was_ready = False
        self._received: list[int] = []  # signals that are not handled yet
        self._stops = 0  # stop signals so far
        self._failed = 0  # the exit code of a worker that did not start
        self._selector = selectors.DefaultSelector()
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        self._waker = wake

    def run(self) -> int:
        """From the first worker to the end of the last one. The result is the exit code."""
        restore = self._catch_signals()
        self._selector.register(self._wake, selectors.EVENT_READ)
        for worker in self._workers:
            self._start(worker)
        while any(worker.pid for worker in self._workers) or not self._stops:
            for key, _ in self._selector.select(self._until_due()):
                os.read(self._wake, 4096) if key.data is None else self._read(key.data)
            self._handle_signals()
            self._reap()
            self._start_due()
        restore()
        return self._failed

    # Signals --------------------------------------------------------------------------------------------------------

    def _catch_signals(self) -> Callable[[], None]:
        """The result gives them back to whom they belonged."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for (
            number
        ) in SIGNALS:  # they only wake the loop: one that comes in the midst of a fork finds a worker without pid
            signal.signal(number, lambda received, _frame: self._received.append(received))
        woken = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

        def restore() -> None:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            for end in (self._wake, self._waker):
                os.close(end)
            self._selector.close()

        return restore

    def _handle_signals(self) -> None:
        while self._received:
            match self._received.pop(0):
                case signal.SIGTERM | signal.SIGINT:
                    self._stop()
                case signal.SIGHUP:
                    self._send(signal.SIGHUP)

    def _stop(self) -> None:
        """The sockets are closed here, too: when its worker has closed one, connections to it are refused at once."""
        self._stops += 1
        for worker in self._workers:
            for sock in worker.sockets.values():
                sock.close()
        self._send(signal.SIGTERM if self._stops == 1 else signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, number)

    # Workers --------------------------------------------------------------------------------------------------------

    def _start(self, worker: Worker) -> None:
        output, inside = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # the child must not get one by the parent's handlers
        pid = os.fork()
        if pid == 0:
            self._become(worker, parent, inside)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(inside)
        os.set_blocking(output, False)
        worker.pid, worker.started, worker.ready = pid, time.monotonic(), None
        worker.output, worker.line = output, b""
        self._selector.register(output, selectors.EVENT_READ, worker)

    def _become(self, worker: Worker, parent: int, output: int) -> None:
        """The rest of a worker's process. Does not return."""
        code = 1
        try:
            self._leave_parent(worker, parent, output)
            code = self._serve(worker)
        except BaseException:
            log.exception("a worker stopped by an internal error")
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _leave_parent(self, worker: Worker, parent: int, output: int) -> None:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            ignored = number in (signal.SIGHUP, signal.SIGINT)
            signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if sys.platform == "linux":  # when the parent dies, its workers drain
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
        self._selector.close()
        os.dup2(output, 1)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        for other in self._workers:
            if other is not worker:
                for sock in other.sockets.values():
                    sock.close()
        take_lent({address: sock.dup() for address, sock in worker.sockets.items()})
        for sock in worker.sockets.values():
            sock.close()

    def _read(self, worker: Worker) -> None:
        data = os.read(worker.output, 65536)
        if not data:
            self._selector.unregister(worker.output)
            os.close(worker.output)
            worker.output = -1
            return
        *lines, worker.line = (worker.line + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                worker.ready = json.loads(line)
        if not self._was_ready and all(one.ready is not None for one in self._workers):
            self._was_ready = True
            try:
                self._on_ready()
            except StartupError as error:
                print(error, file=sys.stderr)
                self._failed = error.exit_code
                self._stop()

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.pid:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    self._on_exit(worker, os.waitstatus_to_exitcode(status))

    def _on_exit(self, worker: Worker, code: int) -> None:
        worker.pid = 0
        with contextlib.suppress(BlockingIOError):
            while worker.output >= 0:  # its ready line may wait here, and nobody else has the pipe
                self._read(worker)
        if self._stops:
            stopped = code == 0 or (code == -signal.SIGTERM and self._stops == 1)  # before it could catch the signal
            self._failed = self._failed or (0 if stopped else 1)
            return
        if worker.ready is None and worker.due == 0.0:  # the first one, before it was ready: it would never be
            self._failed = code if code > 0 else 1
            self._stop()
            return
        early = time.monotonic() - worker.started < STEADY
        worker.delay = min(MAX_DELAY, worker.delay * 2) if early and worker.delay else FIRST_DELAY
        worker.due = time.monotonic() + worker.delay
        log.warning("%s has ended (%d); the next one starts in %.1f s", worker.name, code, worker.delay)

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if not worker.pid and not self._stops and worker.due <= now:
                self._start(worker)

    def _until_due(self) -> float | None:
        """Seconds until the next worker starts; None: none is awaited."""
        due = [worker.due for worker in self._workers if not worker.pid and not self._stops]
        return max(0.0, min(due) - time.monotonic()) if due else None


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))
