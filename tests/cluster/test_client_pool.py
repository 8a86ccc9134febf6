"""A client worker against a scripted server: segmented frames, acks, pongs, closes, refusals, churn, reconnects."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from bench.cluster.load import tally
from bench.cluster.load.client_frames import BINARY, CLOSE, PING, PONG, TEXT
from bench.cluster.load.client_pool import ClientPool, client_pool

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
HELLO = b'{"type":"hello"}'


def frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    return bytes((0x80 | opcode, 126)) + len(payload).to_bytes(2, "big") + payload


class ScriptedServer:
    """A WebSocket server that the test drives, connection by connection."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def accept(self, *, hello: bool = True) -> socket.socket:
        """Accept the next client and read its request; with `hello` also complete the handshake and send a hello."""
        sock, _ = self._server.accept()
        sock.settimeout(5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        if hello:
            sock.sendall(SWITCH + frame(TEXT, HELLO))
        return sock


@contextlib.contextmanager
def one_client_pool() -> Iterator[tuple[ScriptedServer, ClientPool]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        url = f"ws://127.0.0.1:{server.getsockname()[1]}/ws"
        with client_pool([url], b"k" * 32, 1) as pool:
            yield ScriptedServer(server), pool


def read(sock: socket.socket) -> tuple[int, bytes]:
    """One short masked frame of the client; its mask is zeros."""
    opcode, length = sock.recv(2)
    assert length & 0x80
    assert sock.recv(4) == b"\x00\x00\x00\x00"
    return opcode & 0x0F, sock.recv(length & 0x7F) if length & 0x7F else b""


def push(number: int, ack: int = 0) -> bytes:
    due = time.monotonic_ns() // 1000
    tail = b',"ack":%d' % ack if ack else b""
    return frame(TEXT, b'{"type":"event","data":%b%b}' % (tally.data(0, number, due, 150), tail))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_segmented_frames_are_read_whole(size):
    with one_client_pool() as (server, pool):
        pool.open(1, 1000)
        sock = server.accept(hello=False)
        data = SWITCH + frame(TEXT, HELLO) + push(1, ack=9) + frame(PING, b"hi") + push(2) + frame(BINARY, b"odd")
        for at in range(0, len(data), size):
            sock.sendall(data[at : at + size])
        assert read(sock) == (TEXT, b'{"type":"ack","ack":9}')
        assert read(sock) == (PONG, b"hi")
        assert pool.wait(lambda counts: counts.unexpected == 1, 5)
        counts = pool.counts()
        assert (counts.live, counts.connected, counts.pushes, counts.acks, counts.pings) == (1, 1, 2, 1, 1)
        assert list(pool.received(0))[:4] == [0, 1, 1, 0]
        assert sum(counts.latencies[0]) == 2
        sock.close()


def test_a_close_is_answered_and_counted_by_its_code():
    with one_client_pool() as (server, pool):
        pool.open(1, 1000)
        sock = server.accept()
        sock.sendall(frame(CLOSE, b"\x11\x38heartbeat"))
        assert read(sock) == (CLOSE, b"\x11\x38")
        assert pool.wait(lambda counts: counts.closes["4408"] == 1, 5)
        assert (pool.counts().live, pool.counts().lost) == (0, 1)
        sock.close()


def test_a_refused_client_tries_again():
    with one_client_pool() as (server, pool):
        pool.open(1, 1000)
        with server.accept(hello=False) as sock:
            sock.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        with server.accept() as sock:
            assert pool.wait(lambda counts: counts.live == 1, 5)
            assert pool.counts().refused == {"503": 1}


def test_a_lost_client_reconnects_when_configured():
    with one_client_pool() as (server, pool):
        pool.open(1, 1000)
        urls = [f"ws://127.0.0.1:{server._server.getsockname()[1]}/ws"]
        pool.redirect(urls, reconnect=True, rate=1000)
        sock = server.accept()
        assert pool.wait(lambda counts: counts.live == 1, 5)
        sock.close()
        with server.accept():
            assert pool.wait(lambda counts: (counts.live, counts.connected, counts.lost) == (1, 2, 1), 5)


def test_a_dropped_client_sends_no_close_frame_and_reconnects():
    with one_client_pool() as (server, pool):
        pool.open(1, 1000)
        sock = server.accept()
        assert pool.wait(lambda counts: counts.live == 1, 5)
        pool.drop(True, 1000)
        assert sock.recv(100) == b""
        with server.accept():
            assert pool.wait(lambda counts: (counts.live, counts.connected, counts.lost) == (1, 2, 0), 5)
        sock.close()


def test_a_leaving_client_sends_a_close_frame_and_counts_later_pushes():
    with one_client_pool() as (server, pool):
        pool.open(1, 1000)
        sock = server.accept()
        assert pool.wait(lambda counts: counts.live == 1, 5)
        pool.churn(1.0)
        assert read(sock) == (CLOSE, b"\x03\xe8")
        pool.churn(0.0)
        sock.sendall(push(5) + frame(CLOSE, b"\x03\xe8"))
        sock.close()
        assert pool.wait(lambda counts: counts.closes["1000"] == 1, 5)
        assert pool.counts().pushes == 1
