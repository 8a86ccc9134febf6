"""TLS of the load clients, against a gateway's side of TLS: in memory, with full and with resumed handshakes."""

import ssl

import pytest

from bench.cluster.load.client_tls import ClientTls, ClientTlsContext
from bench.micro.tls_pair import write_pair
from gateway.tls.contexts import Certificates
from gateway.tls.records import TlsSession
from gateway.tls.settings import TlsSection

ADDRESS = ("127.0.0.1", 8400)


@pytest.fixture
def pair(tmp_path):
    return write_pair(tmp_path)


def connect(shared, certificates):
    """Both sides, established, after one message down, with which a client has its ticket."""
    client, server = ClientTls(shared, ADDRESS), TlsSession(certificates.buffers, certificates.context)
    up = client.begin()
    while up:
        _, up = client.receive(server.receive(up).answer)
    assert client.established
    assert server.established
    assert client.receive(server.send(b"hello"))[0] == b"hello"
    return client, server


@pytest.mark.parametrize("resume", [False, True])
def test_only_who_is_to_resume_does(pair, resume):
    ca, (cert, key) = pair
    certificates, shared = Certificates(TlsSection(cert, key)), ClientTlsContext(ca, resume)
    assert [connect(shared, certificates)[0].resumed for _ in range(3)] == [False, resume, resume]


def test_messages_of_several_clients_on_one_pair_of_buffers(pair):
    ca, (cert, key) = pair
    certificates, shared = Certificates(TlsSection(cert, key)), ClientTlsContext(ca, False)
    (first, server), (other, _) = connect(shared, certificates), connect(shared, certificates)
    large = bytes(100_000)
    wire = server.send(large)
    begun, _ = first.receive(wire[:50_000])
    with pytest.raises(ssl.SSLError):
        other.receive(wire[50_000:])
    assert begun + first.receive(wire[50_000:])[0] == large
    assert server.receive(first.send(b"up")).plain == b"up"
