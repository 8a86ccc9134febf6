"""Connections that do nothing, or nearly nothing, and cost the server a place."""

import contextlib
import socket
import time

from bench.hostile import frames
from bench.hostile.attack import Attack, Ports, RunAttack
from bench.hostile.peer import HOST

CONNECTIONS = 500


def connections_that_send(data: bytes, count: int = CONNECTIONS, slowly: bool = False) -> RunAttack:
    """Connections that send this much and then wait; `slowly`: a byte every 100 ms."""

    def run(target: Ports, seconds: float) -> str:
        until = time.monotonic() + seconds
        sockets = [socket.create_connection((HOST, target.port), 5) for _ in range(count)]
        for at in range(0, len(data), 1 if slowly else max(1, len(data))):
            _send_all(sockets, data[at : at + 1] if slowly else data)
            if slowly:
                time.sleep(0.1)
            if time.monotonic() > until:
                break
        time.sleep(max(0.0, until - time.monotonic()))
        closed = sum(map(_is_closed, sockets))
        for one in sockets:
            one.close()
        return f"{closed} of {count} closed within {seconds:.0f} s"

    return run


def _send_all(sockets: list[socket.socket], data: bytes) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.sendall(data)


def _is_closed(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while data := one.recv(65536):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


OPENING = frames.PREFACE + frames.settings() + frames.frame(frames.SETTINGS, frames.ACK, 0)
SLOW = 200
SLOW_OPENING = frames.PREFACE + frames.settings([(frames.ENABLE_PUSH, 0)] * 20)  # 153 bytes: 15 s
HANDSHAKE_SECONDS = 12.0  # a handshake may take 10 s
CONTROL = Attack("no attack", "control", connections_that_send(b"", 0))
ATTACKS = [
    Attack(
        "500 connections without a handshake",
        "connections",
        connections_that_send(b""),
        must_find="500 of 500 closed",
        least_seconds=HANDSHAKE_SECONDS,
    ),
    Attack(
        "the preface byte by byte, 200 connections",
        "connections",
        connections_that_send(SLOW_OPENING, SLOW, slowly=True),
        must_find="200 of 200 closed",
        least_seconds=HANDSHAKE_SECONDS,
    ),
    Attack("500 idle connections", "connections", connections_that_send(OPENING)),
]
