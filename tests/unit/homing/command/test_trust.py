"""Which certificates `homing listen` accepts: that of a server in memory, through a handshake in memory."""

import datetime as dt
import json
import ssl

import pytest

from homing.cluster.errors import CommandError
from homing.command.trust import client_context, refusal
from tests.support.certificates import Authority


def handshake(client_side, pair, name="127.0.0.1"):
    """None, or the client's error."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(pair.cert, pair.key)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(down, up, server_hostname=name)
    server = server_side.wrap_bio(up, down, server_side=True)
    for one in (client, server, client):
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            return error
    return None


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def run_dir(folder, pair, *others):
    """A run-dir whose gateways have these certificates."""
    lines = ["[gateway.tls]", f"cert_file = {json.dumps(pair.cert)}"]
    for number, other in enumerate(others):
        lines += [f"[gateway.tls.certificates.more{number}]", f"cert_file = {json.dumps(other.cert)}"]
    (folder / "homing.toml").write_text("\n".join(lines) + "\n")
    return folder


def test_an_authority_that_is_named(authority, tmp_path):
    pair = authority.issue("example.org")
    assert handshake(client_context(tmp_path / "ca.pem", None), pair, "example.org") is None
    assert handshake(client_context(tmp_path / "ca.pem", tmp_path), pair) is None


def test_the_very_certificates_of_the_cluster_here_whatever_their_names(authority, tmp_path):
    first, second = authority.issue("example.org", address="192.0.2.1"), authority.issue("example.net")
    context = client_context(None, run_dir(tmp_path, first, second))
    assert handshake(context, first) is None
    assert handshake(context, second) is None


def test_but_no_other_certificate_of_their_authority(authority, tmp_path):
    first, other = authority.issue("example.org"), authority.issue("example.net")
    with open(first.cert, "a") as file:  # as chains are written: the authority behind the certificate
        file.write((tmp_path / "ca.pem").read_text())
    error = handshake(client_context(None, run_dir(tmp_path, first)), other)
    assert "name who signed it with --ca FILE, or in HOMING_CA" in refusal(error)


@pytest.mark.parametrize("without", ["homing.toml", "tls"])
def test_without_either_the_system_judges(authority, tmp_path, without):
    if without == "tls":
        (tmp_path / "homing.toml").write_text("[gateway]\nlisten = '127.0.0.1:0'\n")
    context = client_context(None, tmp_path)
    assert context.check_hostname
    assert "is not trusted" in refusal(handshake(context, authority.issue("example.org")))


def test_refusals_say_the_cure(authority, tmp_path):
    context = client_context(tmp_path / "ca.pem", None)
    assert "connect by one of them" in refusal(handshake(context, authority.issue("example.org"), "example.net"))
    assert "connect by one of them" in refusal(handshake(context, authority.issue("example.org"), "127.0.0.2"))
    over = authority.issue("old.example", ends=dt.timedelta(minutes=-30))
    assert "the gateway needs another one" in refusal(handshake(context, over))


@pytest.mark.parametrize("content", [b"", b"no PEM", b"\xff\xfe"])
def test_a_file_without_a_certificate(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CommandError, match="holds no certificate in PEM"):
        client_context(tmp_path / "file", None)


def test_a_file_that_is_missing(authority, tmp_path):
    with pytest.raises(CommandError, match=r"cannot read the certificate .*/gone: No such file"):
        client_context(tmp_path / "gone", None)
    pair = authority.issue("example.org")
    (tmp_path / "example.org.pem").write_text("nothing")
    with pytest.raises(CommandError, match="holds no certificate in PEM"):
        client_context(None, run_dir(tmp_path, pair))
