"""Attacks on the HTTP/JSON port of a router."""

import contextlib
import re
import select
import socket
import time
from collections import Counter

from bench.hostile.attack import Attack, Ports
from bench.hostile.peer import HOST

BODIES = 60
BODY_BYTES = 15_900_000  # just below the limit of a body
CONNECTIONS = 500
HEAD = "POST /v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def unfinished_bodies(target: Ports, seconds: float) -> str:
    """Chunked bodies that stop just below the limit."""
    until = time.monotonic() + seconds
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    sockets, sent = [], 0
    for _ in range(BODIES):
        one = socket.create_connection((HOST, target.http_port), 5)
        sockets.append(one)
        sent += _send(
            one, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * (BODY_BYTES // 0x10000), until
        )
    return _hold(sockets, until, f"{sent / 1e6:,.0f} MB taken")


def unfinished_heads(target: Ports, seconds: float) -> str:
    """Heads that never end."""
    until = time.monotonic() + seconds
    sockets = [socket.create_connection((HOST, target.http_port), 5) for _ in range(CONNECTIONS)]
    for one in sockets:
        one.sendall(b"POST /v1/push HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    return _hold(sockets, until, f"{CONNECTIONS} heads begun")


def _send(one: socket.socket, data: bytes, until: float) -> int:
    one.settimeout(0.5)
    view, sent = memoryview(data), 0
    with contextlib.suppress(OSError):
        while view and time.monotonic() < until:
            size = one.send(view[: 1 << 18])
            view, sent = view[size:], sent + size
    return sent


def _hold(sockets: list[socket.socket], until: float, found: str) -> str:
    time.sleep(max(0.2, until - time.monotonic()))
    answers = Counter(_answer_now(one) for one in sockets)
    for one in sockets:
        one.close()
    return f"{found}; " + ", ".join(f"{answer} x{count}" for answer, count in sorted(answers.items()))


def _answer_now(one: socket.socket) -> str:
    if not select_readable(one, 0):
        return "held"
    try:
        return status_of(one.recv(65536))
    except OSError:
        return "closed"


def select_readable(one: socket.socket, seconds: float) -> bool:
    """Whether there is something to read in time."""
    poll = select.poll()
    poll.register(one, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def status_of(response: bytes) -> str:
    """The status of a response; "closed" for none."""
    found = re.match(rb"HTTP/1\.[01] (\d{3})", response)
    return found[1].decode() if found else "closed"


ATTACKS = [
    Attack("60 chunked bodies that stop at 15.9 MB", "http", unfinished_bodies, memory_mib=256, port="http"),
    Attack("500 heads that never end", "http", unfinished_heads, port="http"),
]
