"""A worker process with many WebSocket clients at minimal cost: `python -m bench.cluster.load.client_worker`.

Raw non-blocking sockets and one epoll. A client is no object: its state is in arrays indexed by its socket's number,
some 30 bytes, plus a buffer while a frame is incomplete. The parent sends commands, one JSON object per line on stdin,
and receives the counts, one line per command; the end of stdin ends the process. The first line has the settings:
`{"urls": [[host, port], ...], "key": HEX, "sources": [address, ...], "protocol": "homing.json" or "", "files": [...]}`,
over TLS also `ca`, the file of the gateways' certificate, and `resume`: whether sessions are resumed.

User n is `user-n` and connects to urls[n % len(urls)]. Commands: `open` (connect the users `first` to `first + count`,
`rate` a second), `churn` (`rate` clients a second disconnect, and waiting users connect instead), `drop` (close all
sockets at once without a close frame; with `reconnect` all reconnect, `rate` a second), `halt` (no more connects),
`configure` (`urls`; `reconnect`: lost clients reconnect, `rate` a second), `reset_latencies`, `counts`, `dump` (the
receipts by push number, to files).
"""

import contextlib
import errno
import gc
import json
import os
import random
import resource
import select
import socket
import ssl
import time
from array import array
from collections import deque
from typing import Any

from bench.cluster.load.client_frames import (
    CLOSE,
    CLOSE_1000,
    PING,
    PONG,
    close_code,
    masked_frame,
    parse_frames,
    split_response,
    text_payload_start,
)
from bench.cluster.load.client_tls import ClientTls, ClientTlsContext
from bench.cluster.load.handshakes import Handshakes
from bench.cluster.load.tally import KINDS, Tally
from bench.cluster.load.worker_settings import read_settings

FREE, CONNECTING, SECURING, HANDSHAKE, HELLO, OPEN, CLOSING = range(7)  # states of a client
MAX_CONNECTING = 256  # concurrent connects: less than any listen backlog
CONNECTS_PER_ITERATION = 32  # in one turn of the loop, so that reads are not delayed
RETRY_DELAY = 1.0  # seconds until a refused client tries again
READ_BYTES = 16_384
IP_BIND_ADDRESS_NO_PORT = 24  # the kernel chooses the port at connect, by destination
READABLE, WRITABLE, FAILED = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR | select.EPOLLHUP
MAX_OPEN_FILES = 20_000  # of this process; it has fewer clients


class ClientWorker:
    """All clients of this process."""

    def __init__(self, settings: dict[str, Any]) -> None:
        size = resource.getrlimit(resource.RLIMIT_NOFILE)[0] + 1
        self._handshakes = Handshakes(settings)
        self._sources = list(settings["sources"])
        self._next_source = 0
        self._state = bytearray(size)  # by socket number, as the next three
        self._user = array("i", [0]) * size
        self._due = array("d", [0.0]) * size  # when the connect was due
        self._live_index = array("i", [0]) * size  # the client's index in `_live`
        self._live = array("i")
        self._secure = ClientTlsContext(settings["ca"], settings["resume"]) if settings.get("ca") else None
        self._tls: dict[int, ClientTls] = {}  # empty without TLS
        self._partial_frames: dict[int, bytes] = {}
        self._unsent: dict[int, bytes] = {}  # bytes that the kernel has not accepted
        self._queued: deque[int] = deque()  # users that are to connect
        self._retries: deque[tuple[float, int]] = deque()  # (time, user) of the next attempts
        self._connecting = 0
        self._connect_interval = self._close_interval = 0.0  # seconds; 0: none
        self._next_connect = self._next_close = 0.0
        self._max_waiting = 0  # with more users waiting, churn closes no client: the pool would shrink
        self._reconnect = False
        self._stopped = False
        self._partial_line = b""
        self._tally = Tally()
        self._epoll = select.epoll()
        self._epoll.register(0, READABLE)
        os.set_blocking(0, False)

    def run(self) -> None:
        """Serve clients and commands until stdin ends."""
        while not self._stopped:
            for fd, mask in self._epoll.poll(self._poll_timeout(), 512):
                if fd == 0:
                    self._read_commands()
                elif self._state[fd] == CONNECTING:
                    self._on_connected(fd, mask)
                elif self._state[fd] != FREE:
                    self._on_event(fd, mask)
            self._on_tick(time.monotonic())

    # The clock --------------------------------------------------------------------------------------------------------

    def _poll_timeout(self) -> float:
        now, timeout = time.monotonic(), 0.1
        if self._queued and self._connecting < MAX_CONNECTING:
            timeout = min(timeout, self._next_connect - now)
        if self._close_interval:
            timeout = min(timeout, self._next_close - now)
        return max(0.0, timeout)

    def _on_tick(self, now: float) -> None:
        while self._retries and self._retries[0][0] <= now:
            self._enqueue(self._retries.popleft()[1])
        for _ in range(CONNECTS_PER_ITERATION):
            if not self._queued or self._next_connect > now or self._connecting >= MAX_CONNECTING:
                break
            self._connect(self._queued.popleft(), self._next_connect)
            self._next_connect += self._connect_interval
        while self._close_interval and self._next_close <= now:
            self._next_close += self._close_interval
            if self._live and len(self._queued) + self._connecting < self._max_waiting:
                self._close_normally(self._live[random.randrange(len(self._live))])

    def _enqueue(self, user: int) -> None:
        if not self._queued:  # the pace starts now: no connect was due while the queue was empty
            self._next_connect = max(self._next_connect, time.monotonic())
        self._queued.append(user)

    # One client -------------------------------------------------------------------------------------------------------

    def _connect(self, user: int, due: float) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._next_source += 1
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self._sources[self._next_source % len(self._sources)], 0))
            code = sock.connect_ex(self._handshakes.address(user))
        except OSError as error:
            code = error.errno or -1
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            self._schedule_retry(user, errno.errorcode.get(code, str(code)))
            return
        fd = sock.detach()
        self._state[fd], self._user[fd], self._due[fd] = CONNECTING, user, due
        self._connecting += 1
        if code == 0:
            self._epoll.register(fd, READABLE)
            self._on_connected(fd, 0)
        else:
            self._epoll.register(fd, WRITABLE)

    def _on_connected(self, fd: int, mask: int) -> None:
        if mask & FAILED:
            self._on_lost(fd, "connect")
            return
        if mask:
            self._epoll.modify(fd, READABLE)
        if self._secure is None:
            self._request(fd)
            return
        self._state[fd] = SECURING
        tls = self._tls[fd] = ClientTls(self._secure, self._handshakes.address(self._user[fd]))
        self._write_bytes(fd, tls.begin())

    def _request(self, fd: int) -> None:
        self._state[fd] = HANDSHAKE
        self._write(fd, self._handshakes.request(self._user[fd]))

    def _decrypted(self, fd: int, data: bytes) -> bytes:
        """The plain text in bytes from the wire; the client may be lost after that."""
        tls = self._tls[fd]
        try:
            plain, answer = tls.receive(data)
        except ssl.SSLError as error:
            self._on_lost(fd, f"TLS: {error.reason}")
            return b""
        if answer:
            self._write_bytes(fd, answer)
        if tls.established and self._state[fd] == SECURING:
            self._tally.resumed += tls.resumed
            self._request(fd)
        return plain

    def _on_event(self, fd: int, mask: int) -> None:
        if mask & WRITABLE:
            self._write_bytes(fd, self._unsent.pop(fd, b""))
            if fd not in self._unsent:
                self._epoll.modify(fd, READABLE)
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._on_lost(fd, "reset")
            return
        if not data:
            self._on_lost(fd, "eof")
            return
        if self._tls and not (data := self._decrypted(fd, data)):
            return
        if fd not in self._partial_frames and (start := text_payload_start(data)) and self._state[fd] != HANDSHAKE:
            self._on_message(fd, 1, data[start:])
            return
        self._on_data(fd, self._partial_frames.pop(fd, b"") + data)

    def _on_data(self, fd: int, data: bytes) -> None:
        if self._state[fd] == HANDSHAKE:
            if (response := split_response(data)) is None:
                self._partial_frames[fd] = data
                return
            status, data = response
            if status != 101:
                self._on_lost(fd, str(status))
                return
            self._state[fd] = HELLO
            if not self._handshakes.protocol:
                self._on_open(fd)
        frames, rest = parse_frames(data)
        if rest:
            self._partial_frames[fd] = rest
        for opcode, payload in frames:
            if self._state[fd] != FREE:
                self._on_frame(fd, opcode, payload)

    def _on_frame(self, fd: int, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._tally.pings += 1
            self._write(fd, masked_frame(PONG, payload))
        elif opcode == CLOSE:
            if self._state[fd] != CLOSING:  # the server's response to this client's close frame needs no answer
                self._write(fd, masked_frame(CLOSE, payload[:2]))
                self._on_lost(fd, str(close_code(payload)))
        else:
            self._on_message(fd, opcode, payload)

    def _on_message(self, fd: int, opcode: int, payload: bytes) -> None:
        if self._state[fd] == HELLO:
            self._on_open(fd)
        elif ack := self._tally.on_message(opcode, payload, time.monotonic_ns() // 1000):
            self._write(fd, ack)

    def _on_open(self, fd: int) -> None:
        self._state[fd] = OPEN
        self._connecting -= 1
        self._tally.on_connected(time.monotonic() - self._due[fd])
        self._live_index[fd] = len(self._live)
        self._live.append(fd)

    def _write(self, fd: int, data: bytes) -> None:
        self._write_bytes(fd, self._tls[fd].send(data) if self._tls else data)

    def _write_bytes(self, fd: int, data: bytes) -> None:
        if fd in self._unsent:
            self._unsent[fd] += data
            return
        try:
            sent = os.write(fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the next read reports the error
        if sent < len(data):
            self._unsent[fd] = data[sent:]
            self._epoll.modify(fd, READABLE | WRITABLE)

    def _close_normally(self, fd: int) -> None:
        """Send a close frame; pushes count until the server ends the connection."""
        self._remove_live(fd)
        self._state[fd] = CLOSING
        self._write(fd, CLOSE_1000)

    def _remove_live(self, fd: int) -> None:
        last = self._live.pop()
        if last != fd:
            index = self._live_index[fd]
            self._live[index], self._live_index[last] = last, index

    def _on_lost(self, fd: int, reason: str) -> None:
        state, user = self._state[fd], self._user[fd]
        self._close_socket(fd)
        if state == CLOSING:
            self._tally.closes["1000"] += 1
            self._enqueue(user)
        elif state == OPEN:
            self._remove_live(fd)
            self._tally.lost += 1
            self._tally.closes[reason] += 1
            if self._reconnect:
                self._enqueue(user)
        else:
            self._connecting -= 1
            self._schedule_retry(user, reason)

    def _schedule_retry(self, user: int, reason: str) -> None:
        self._tally.refused[reason] += 1
        self._retries.append((time.monotonic() + RETRY_DELAY, user))

    def _close_socket(self, fd: int) -> None:
        os.close(fd)  # epoll unregisters a closed socket
        self._state[fd] = FREE
        self._partial_frames.pop(fd, None)
        self._tls.pop(fd, None)
        self._unsent.pop(fd, None)

    # Commands of the parent -------------------------------------------------------------------------------------------

    def _read_commands(self) -> None:
        data = os.read(0, 65_536)
        if not data:
            self._stopped = True
            return
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        for line in lines:
            arguments = json.loads(line)
            getattr(self, "_command_" + arguments.pop("command"))(**arguments)
            print(json.dumps(self._counts()), flush=True)

    def _counts(self) -> dict[str, object]:
        """The tally, with the numbers of live clients and waiting users."""
        waiting = len(self._queued) + len(self._retries) + self._connecting
        return {"live": len(self._live), "waiting": waiting, **self._tally.as_dict()}

    def _command_counts(self) -> None:
        """Every command returns the counts."""

    def _command_open(self, first: int, count: int, rate: float) -> None:
        self._connect_interval = 1 / rate
        self._next_connect = max(self._next_connect, time.monotonic())
        self._queued.extend(range(first, first + count))

    def _command_churn(self, rate: float, first: int, count: int) -> None:
        now = time.monotonic()
        self._close_interval = self._connect_interval = 1 / rate if rate else 0.0
        self._next_close = self._next_connect = now
        self._max_waiting = 2 * count + MAX_CONNECTING
        self._queued.extend(range(first, first + count))

    def _command_drop(self, reconnect: bool, rate: float) -> None:
        users = array("i")
        for fd in self._live:
            users.append(self._user[fd])
            self._close_socket(fd)
        del self._live[:]
        if reconnect:
            self._connect_interval, self._next_connect = 1 / rate, time.monotonic()
            self._queued.extend(users)

    def _command_configure(self, urls: list[list[Any]], reconnect: bool, rate: float) -> None:
        self._handshakes.set_urls(urls)
        self._reconnect, self._connect_interval = reconnect, 1 / rate

    def _command_reset_latencies(self) -> None:
        self._tally.reset_latencies()

    def _command_dump(self, path: str) -> None:
        for kind in range(KINDS):
            with open(f"{path}.{kind}", "wb") as file:
                self._tally.received[kind].tofile(file)

    def _command_halt(self) -> None:
        self._queued.clear()
        self._retries.clear()


def main() -> None:
    """Run the worker."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, MAX_OPEN_FILES)  # the size of the arrays
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    worker = ClientWorker(read_settings())
    print("{}", flush=True)  # started
    gc.disable()  # no code here creates reference cycles
    with contextlib.suppress(KeyboardInterrupt):
        worker.run()


if __name__ == "__main__":
    main()
