"""A crowd process against a scripted server: bytes in pieces, acks, pongs, closes, refusals, leaving, coming back."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from bench.cluster.load import tally
from bench.cluster.load.clientframes import BINARY, CLOSE, PING, PONG, TEXT
from bench.cluster.load.crowds import Crowds, crowds

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
HELLO = b'{"type":"hello"}'


def frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    return bytes((0x80 | opcode, 126)) + len(payload).to_bytes(2, "big") + payload


class Scripted:
    """A server that does what the test says, connection by connection."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def accept(self, *, hello: bool = True) -> socket.socket:
        """The next client, its request head read, and answered."""
        one, _ = self._server.accept()
        one.settimeout(5)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = b""
        while b"\r\n\r\n" not in head:
            head += one.recv(4096)
        if hello:
            one.sendall(SWITCH + frame(TEXT, HELLO))
        return one


@contextlib.contextmanager
def crowd() -> Iterator[tuple[Scripted, Crowds]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        url = f"ws://127.0.0.1:{server.getsockname()[1]}/ws"
        with crowds([url], b"k" * 32, 1) as made:
            yield Scripted(server), made


def read(one: socket.socket) -> tuple[int, bytes]:
    """One small masked frame of the client, whose mask is zeros."""
    opcode, length = one.recv(2)
    assert length & 0x80
    assert one.recv(4) == b"\x00\x00\x00\x00"
    return opcode & 0x0F, one.recv(length & 0x7F) if length & 0x7F else b""


def push(number: int, ack: int = 0) -> bytes:
    due = time.monotonic_ns() // 1000
    tail = b',"ack":%d' % ack if ack else b""
    return frame(TEXT, b'{"type":"event","data":%b%b}' % (tally.data(0, number, due, 150), tail))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_comes_in_pieces_is_heard_whole(size):
    with crowd() as (server, made):
        made.open(1, 1000)
        one = server.accept(hello=False)
        data = SWITCH + frame(TEXT, HELLO) + push(1, ack=9) + frame(PING, b"hi") + push(2) + frame(BINARY, b"odd")
        for at in range(0, len(data), size):
            one.sendall(data[at : at + size])
        assert read(one) == (TEXT, b'{"type":"ack","ack":9}')
        assert read(one) == (PONG, b"hi")
        assert made.wait(lambda told: told.strange == 1, 5)
        counts = made.counts()
        assert (counts.live, counts.connected, counts.pushes, counts.acks, counts.pings) == (1, 1, 2, 1, 1)
        assert list(made.received(0))[:4] == [0, 1, 1, 0]
        assert sum(counts.latencies[0]) == 2
        one.close()


def test_a_close_is_answered_and_counted_by_its_code():
    with crowd() as (server, made):
        made.open(1, 1000)
        one = server.accept()
        one.sendall(frame(CLOSE, b"\x11\x38heartbeat"))
        assert read(one) == (CLOSE, b"\x11\x38")
        assert made.wait(lambda told: told.closes["4408"] == 1, 5)
        assert (made.counts().live, made.counts().lost) == (0, 1)
        one.close()


def test_who_is_refused_tries_again():
    with crowd() as (server, made):
        made.open(1, 1000)
        with server.accept(hello=False) as one:
            one.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        with server.accept() as one:
            assert made.wait(lambda told: told.live == 1, 5)
            assert made.counts().refused == {"503": 1}


def test_who_is_lost_comes_back_when_told_so():
    with crowd() as (server, made):
        made.open(1, 1000)
        made_urls = [f"ws://127.0.0.1:{server._server.getsockname()[1]}/ws"]
        made.redirect(made_urls, back=True, rate=1000)
        one = server.accept()
        assert made.wait(lambda told: told.live == 1, 5)
        one.close()
        with server.accept():
            assert made.wait(lambda told: (told.live, told.connected, told.lost) == (1, 2, 1), 5)


def test_who_is_dropped_says_nothing_and_comes_back():
    with crowd() as (server, made):
        made.open(1, 1000)
        one = server.accept()
        assert made.wait(lambda told: told.live == 1, 5)
        made.drop(True, 1000)
        assert one.recv(100) == b""
        with server.accept():
            assert made.wait(lambda told: (told.live, told.connected, told.lost) == (1, 2, 0), 5)
        one.close()


def test_who_leaves_says_so_and_hears_what_still_comes():
    with crowd() as (server, made):
        made.open(1, 1000)
        one = server.accept()
        assert made.wait(lambda told: told.live == 1, 5)
        made.churn(1.0)
        assert read(one) == (CLOSE, b"\x03\xe8")
        made.churn(0.0)
        one.sendall(push(5) + frame(CLOSE, b"\x03\xe8"))
        one.close()
        assert made.wait(lambda told: told.closes["1000"] == 1, 5)
        assert made.counts().pushes == 1
