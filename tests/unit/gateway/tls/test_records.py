"""TLS between bytes and bytes: whatever way they are cut, and with many sessions on the same two buffers."""

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tls.records import MAX_EXCESS, TlsBuffers, TlsError, TlsSession
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def contexts(tmp_path_factory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    pair = authority.issue("gateway.test")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    return server, ssl.create_default_context(cafile=authority.ca)


class Client:
    """OpenSSL's own client, in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="gateway.test")

    def handshake(self, session: TlsSession) -> None:
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.incoming.write(session.receive(self.outgoing.read()).answer)
        assert session.established

    def write(self, data: bytes) -> bytes:
        for start in range(0, len(data), 16384):
            self.tls.write(data[start : start + 16384])
        return self.outgoing.read()

    def read(self, records: bytes) -> bytes:
        self.incoming.write(records)
        parts = []
        with contextlib.suppress(ssl.SSLWantReadError):
            while part := self.tls.read(65536):
                parts.append(part)
        return b"".join(parts)


def empty(buffers: TlsBuffers) -> bool:
    return not buffers.incoming.pending and not buffers.outgoing.pending


@given(
    messages=st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=40_000)), max_size=8),
    cuts=st.lists(st.integers(1, 5000), min_size=1, max_size=20),
)
def test_sessions_on_shared_buffers_do_not_meet(contexts, messages, cuts):
    server, trusting = contexts
    buffers = TlsBuffers()
    sessions = [TlsSession(buffers, server) for _ in range(3)]
    clients = [Client(trusting) for _ in sessions]
    for client, session in zip(clients, sessions, strict=True):
        client.handshake(session)
    wires = [b"", b"", b""]
    for number, data in messages:
        wires[number] += clients[number].write(data)
    found = [b"", b"", b""]
    step = 0
    while any(wires):
        for number, wire in enumerate(wires):
            cut = cuts[step % len(cuts)]
            step += 1
            if wire:
                found[number] += sessions[number].receive(wire[:cut]).plain
                wires[number] = wire[cut:]
                assert empty(buffers)
    assert found == [b"".join(data for one, data in messages if one == number) for number in range(3)]
    for number, data in messages:
        assert clients[number].read(sessions[number].send(data)) == data
        assert empty(buffers)


def test_an_end_is_seen_behind_data(contexts):
    server, trusting = contexts
    buffers = TlsBuffers()
    session, client = TlsSession(buffers, server), Client(trusting)
    client.handshake(session)
    wire = client.write(b"last")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    received = session.receive(wire + client.outgoing.read() + b"and what is not TLS")
    assert (received.plain, received.ended) == (b"last", True)
    assert session.close()
    assert empty(buffers)


@given(st.binary(min_size=1, max_size=3000))
def test_no_bytes_are_an_internal_error_and_none_are_left(contexts, data):
    server, trusting = contexts
    buffers = TlsBuffers()
    session, client = TlsSession(buffers, server), Client(trusting)
    with contextlib.suppress(TlsError):
        session.receive(b"\x16\x03\x01" + data)
    assert empty(buffers)
    other = TlsSession(buffers, server)
    client.handshake(other)
    with contextlib.suppress(TlsError):
        assert other.receive(data).plain == b""
    assert empty(buffers)


@pytest.mark.parametrize(("size", "served"), [(1, False), (2, True), (100, True)])
def test_records_with_next_to_nothing_in_them_are_not_served(contexts, size, served):
    server, trusting = contexts
    session, client = TlsSession(TlsBuffers(), server), Client(trusting)
    client.handshake(session)
    records = b"".join(client.write(b"x" * size) for _ in range(2 * MAX_EXCESS // 6))
    found = b""
    with contextlib.nullcontext() if served else pytest.raises(TlsError, match="next to no data"):
        for start in range(0, len(records), 4096):
            found += session.receive(records[start : start + 4096]).plain
    assert not served or found == b"x" * size * (2 * MAX_EXCESS // 6)


def test_a_client_that_says_little_for_long_is_served(contexts):
    server, trusting = contexts
    session, client = TlsSession(TlsBuffers(), server), Client(trusting)
    client.handshake(session)
    for _ in range(20_000):  # pongs
        assert len(session.receive(client.write(b"x" * 6)).plain) == 6


def test_what_came_before_a_bad_record_is_not_lost(contexts):
    server, trusting = contexts
    session, client = TlsSession(TlsBuffers(), server), Client(trusting)
    client.handshake(session)
    bad = bytearray(client.write(b"first") + client.write(b"second"))
    bad[-1] ^= 1
    with pytest.raises(TlsError) as caught:
        session.receive(bytes(bad))
    assert caught.value.plain == b"first"


def test_a_write_that_fails_leaves_nothing_for_others(contexts):
    class Broken:
        def __init__(self, buffers: TlsBuffers) -> None:
            self.buffers = buffers

        def write(self, _data: bytes) -> None:
            self.buffers.outgoing.write(b"half a record")
            raise MemoryError

    buffers = TlsBuffers()
    session = TlsSession(buffers, contexts[0])
    session._ssl = Broken(buffers)
    with pytest.raises(MemoryError):
        session.send(b"x")
    assert empty(buffers)


def test_close_before_the_handshake_is_no_error(contexts):
    buffers = TlsBuffers()
    assert TlsSession(buffers, contexts[0]).close() == b""
    assert empty(buffers)


def test_a_name_without_a_reason_is_described(contexts, monkeypatch):
    class Broken:
        def do_handshake(self) -> None:
            error = ssl.SSLError("no reason")
            error.reason = None
            raise error

    session = TlsSession(TlsBuffers(), contexts[0])
    session._ssl = Broken()
    with pytest.raises(TlsError, match="no reason"):
        session.receive(b"x")
