"""A process full of WebSocket clients that cost next to nothing: `python -m bench.cluster.load.crowd`.

Raw non-blocking sockets and one epoll. A client has no object: what is known of it stands in arrays at the number of
its socket, some 30 bytes, and a buffer only while a frame has come in part. Its parent says what to do, one JSON object
a line on stdin, and gets the counts as one line for each; when stdin ends, so does the process. The first line:
`{"urls": [[host, port], ...], "key": HEX, "sources": [address, ...], "protocol": "homing.json" or "", "files": [...]}`.

User n is `user-n`, and dials urls[n % len(urls)]. Commands: `open` (users `first` to `first + count`, `rate` a second),
`churn` (`rate` a second leave, and users who wait come instead), `drop` (all at once, without a word; with `back` they
come back, `rate` a second), `halt` (nobody more comes), `settings` (`urls`; `back`: whoever is lost comes back),
`forget`, `told`, `dump` (the pushes by number, to files).
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
import time
from array import array
from collections import deque
from typing import Any

from bench.cluster.load.clientframes import CLOSE, GOOD_BYE, PING, PONG, close_code, cut, masked, split_head, whole_text
from bench.cluster.load.firstline import first_line
from bench.cluster.load.heads import Heads
from bench.cluster.load.tally import KINDS, Tally

FREE, CONNECTING, HEAD, HELLO, OPEN, CLOSING = range(6)
AT_ONCE = 256  # connects under way: less than any backlog
A_TURN = 32  # connects begun in one turn of the loop, so that reading goes on
RETRY = 1.0  # seconds until a refused client tries again
READ = 16_384  # bytes of one read
BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT: the kernel chooses the port at connect, by destination
IN, OUT, GONE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR | select.EPOLLHUP

MOST_FILES = 20_000  # of this process; its clients are fewer


class Crowd:
    """All clients of this process."""

    def __init__(self, told: dict[str, Any]) -> None:
        size = resource.getrlimit(resource.RLIMIT_NOFILE)[0] + 1
        self._heads = Heads(told)
        self._sources = list(told["sources"])
        self._state = bytearray(size)  # what is known of a client, by its socket's number
        self._user = array("i", [0]) * size
        self._due = array("d", [0.0]) * size  # when its connect was meant to begin
        self._place = array("i", [0]) * size  # where it stands in `_live`
        self._live = array("i")
        self._partial: dict[int, bytes] = {}  # frames that have come in part
        self._unsent: dict[int, bytes] = {}  # what the kernel has not taken
        self._waiting: deque[int] = deque()  # users who are to come
        self._refused: deque[tuple[float, int]] = deque()  # (when, user) to try again
        self._underway = 0
        self._open_every = self._close_every = 0.0  # seconds between two; 0: none
        self._next_open = self._next_close = 0.0
        self._most_waiting = 0  # nobody leaves while more cannot come back: the crowd would melt away
        self._back = False
        self._over = False
        self._bind = 0
        self._line = b""
        self._tally = Tally()
        self._epoll = select.epoll()
        self._epoll.register(0, IN)
        os.set_blocking(0, False)

    def run(self) -> None:
        """Until stdin ends or says so."""
        while not self._over:
            for fd, mask in self._epoll.poll(self._pause(), 512):
                if fd == 0:
                    self._obey()
                elif self._state[fd] == CONNECTING:
                    self._on_connected(fd, mask)
                elif self._state[fd] != FREE:
                    self._serve(fd, mask)
            self._tick(time.monotonic())

    # The clock --------------------------------------------------------------------------------------------------------

    def _pause(self) -> float:
        now, pause = time.monotonic(), 0.1
        if self._waiting and self._underway < AT_ONCE:
            pause = min(pause, self._next_open - now)
        if self._close_every:
            pause = min(pause, self._next_close - now)
        return max(0.0, pause)

    def _tick(self, now: float) -> None:
        while self._refused and self._refused[0][0] <= now:
            self._come(self._refused.popleft()[1])
        for _ in range(A_TURN):
            if not self._waiting or self._next_open > now or self._underway >= AT_ONCE:
                break
            self._dial(self._waiting.popleft(), self._next_open)
            self._next_open += self._open_every
        while self._close_every and self._next_close <= now:
            self._next_close += self._close_every
            if self._live and len(self._waiting) + self._underway < self._most_waiting:
                self._leave(self._live[random.randrange(len(self._live))])

    def _come(self, user: int) -> None:
        if not self._waiting:  # the pace begins now; nothing was due while nobody waited
            self._next_open = max(self._next_open, time.monotonic())
        self._waiting.append(user)

    # One client -------------------------------------------------------------------------------------------------------

    def _dial(self, user: int, due: float) -> None:
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._bind += 1
        try:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            one.bind((self._sources[self._bind % len(self._sources)], 0))
            code = one.connect_ex(self._heads.address(user))
        except OSError as error:
            code = error.errno or -1
        if code not in (0, errno.EINPROGRESS):
            one.close()
            self._refuse(user, errno.errorcode.get(code, str(code)))
            return
        fd = one.detach()
        self._state[fd], self._user[fd], self._due[fd] = CONNECTING, user, due
        self._underway += 1
        if code == 0:
            self._epoll.register(fd, IN)
            self._on_connected(fd, 0)
        else:
            self._epoll.register(fd, OUT)

    def _on_connected(self, fd: int, mask: int) -> None:
        if mask & GONE:
            self._gone(fd, "connect")
            return
        if mask:
            self._epoll.modify(fd, IN)
        self._state[fd] = HEAD
        self._write(fd, self._heads.of(self._user[fd]))

    def _serve(self, fd: int, mask: int) -> None:
        if mask & OUT:
            self._write(fd, self._unsent.pop(fd, b""))
            if fd not in self._unsent:
                self._epoll.modify(fd, IN)
        try:
            data = os.read(fd, READ)
        except BlockingIOError:
            return
        except OSError:
            self._gone(fd, "reset")
            return
        if not data:
            self._gone(fd, "eof")
            return
        if fd not in self._partial and (start := whole_text(data)) and self._state[fd] != HEAD:
            self._message(fd, 1, data[start:])
            return
        data = self._partial.pop(fd, b"") + data
        if self._state[fd] == HEAD:
            if (head := split_head(data)) is None:
                self._partial[fd] = data
                return
            status, data = head
            if status != 101:
                self._gone(fd, str(status))
                return
            self._state[fd] = HELLO
            if not self._heads.protocol:
                self._ready(fd)
        frames, rest = cut(data)
        if rest:
            self._partial[fd] = rest
        for opcode, payload in frames:
            if self._state[fd] != FREE:
                self._frame(fd, opcode, payload)

    def _frame(self, fd: int, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._tally.pings += 1
            self._write(fd, masked(PONG, payload))
        elif opcode == CLOSE:
            if self._state[fd] != CLOSING:  # the server's wish; its answer to ours is followed by its end
                self._write(fd, masked(CLOSE, payload[:2]))
                self._gone(fd, str(close_code(payload)))
        else:
            self._message(fd, opcode, payload)

    def _message(self, fd: int, opcode: int, payload: bytes) -> None:
        if self._state[fd] == HELLO:
            self._ready(fd)
        elif answer := self._tally.message(opcode, payload, time.monotonic_ns() // 1000):
            self._write(fd, answer)

    def _ready(self, fd: int) -> None:
        self._state[fd] = OPEN
        self._underway -= 1
        self._tally.hello(time.monotonic() - self._due[fd])
        self._place[fd] = len(self._live)
        self._live.append(fd)

    def _write(self, fd: int, data: bytes) -> None:
        if fd in self._unsent:
            self._unsent[fd] += data
            return
        try:
            sent = os.write(fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the next read tells
        if sent < len(data):
            self._unsent[fd] = data[sent:]
            self._epoll.modify(fd, IN | OUT)

    def _leave(self, fd: int) -> None:
        """It says good-bye, and hears what comes until the server hangs up."""
        self._not_live(fd)
        self._state[fd] = CLOSING
        self._write(fd, GOOD_BYE)

    def _not_live(self, fd: int) -> None:
        last = self._live.pop()
        if last != fd:
            place = self._place[fd]
            self._live[place], self._place[last] = last, place

    def _gone(self, fd: int, why: str) -> None:
        state, user = self._state[fd], self._user[fd]
        self._shut(fd)
        if state == CLOSING:
            self._tally.closes["1000"] += 1
            self._come(user)
        elif state == OPEN:
            self._not_live(fd)
            self._tally.lost += 1
            self._tally.closes[why] += 1
            if self._back:
                self._come(user)
        else:
            self._underway -= 1
            self._refuse(user, why)

    def _refuse(self, user: int, why: str) -> None:
        self._tally.refused[why] += 1
        self._refused.append((time.monotonic() + RETRY, user))

    def _shut(self, fd: int) -> None:
        os.close(fd)  # epoll forgets it by itself
        self._state[fd] = FREE
        self._partial.pop(fd, None)
        self._unsent.pop(fd, None)

    # The parent -------------------------------------------------------------------------------------------------------

    def _obey(self) -> None:
        piece = os.read(0, 65_536)
        if not piece:
            self._over = True
            return
        *lines, self._line = (self._line + piece).split(b"\n")
        for line in lines:
            command = json.loads(line)
            getattr(self, "_do_" + command.pop("do"))(**command)
            print(json.dumps(self._told()), flush=True)

    def _told(self) -> dict[str, object]:
        """The counts, and how many are there."""
        waiting = len(self._waiting) + len(self._refused) + self._underway
        return {"live": len(self._live), "waiting": waiting, **self._tally.told()}

    def _do_told(self) -> None:
        """Only the counts."""

    def _do_open(self, first: int, count: int, rate: float) -> None:
        self._open_every = 1 / rate
        self._next_open = max(self._next_open, time.monotonic())
        self._waiting.extend(range(first, first + count))

    def _do_churn(self, rate: float, first: int, count: int) -> None:
        now = time.monotonic()
        self._close_every = self._open_every = 1 / rate if rate else 0.0
        self._next_close = self._next_open = now
        self._most_waiting = 2 * count + AT_ONCE
        self._waiting.extend(range(first, first + count))

    def _do_drop(self, back: bool, rate: float) -> None:
        users = array("i")
        for fd in self._live:
            users.append(self._user[fd])
            self._shut(fd)
        del self._live[:]
        if back:
            self._open_every, self._next_open = 1 / rate, time.monotonic()
            self._waiting.extend(users)

    def _do_settings(self, urls: list[list[Any]], back: bool, rate: float) -> None:
        self._heads.dial(urls)
        self._back, self._open_every = back, 1 / rate

    def _do_forget(self) -> None:
        self._tally.forget_latencies()

    def _do_dump(self, path: str) -> None:
        for kind in range(KINDS):
            with open(f"{path}.{kind}", "wb") as file:
                self._tally.got[kind].tofile(file)

    def _do_halt(self) -> None:
        self._waiting.clear()
        self._refused.clear()


def main() -> None:
    """The process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, MOST_FILES)  # what is kept of clients stands in arrays of that size
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    crowd = Crowd(first_line())
    print("{}", flush=True)  # it is there
    gc.disable()  # nothing here makes cycles
    with contextlib.suppress(KeyboardInterrupt):
        crowd.run()


if __name__ == "__main__":
    main()
