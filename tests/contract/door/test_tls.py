"""TLS on the port for clients: docs/promises.md, rows 13 and 14; certificates and their rotation; who clients are."""

import asyncio
import contextlib
import datetime as dt
import os
import shutil
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gateway.tls.contexts import Certificates
from gateway.tls.records import ALERT
from gateway.tls.settings import CertificateSection, ClientCertificates, TlsSection
from gateway.wire.frames import text_frame
from runtime.process.configuration import ConfigurationError
from tests.contract.door.test_the_door import SECONDS, Door, connect_plainly, good
from tests.support.certificates import Authority, Pair
from tests.support.frames import frame
from tests.support.heads import head


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusting(authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca)


@pytest.fixture
async def start(trusting) -> AsyncIterator[Callable]:
    doors: list[Door] = []

    async def start(section: TlsSection | None, client: ssl.SSLContext | None = None) -> Door:
        door = Door(SECONDS, (Certificates(section), client or trusting) if section else None)
        doors.append(door)
        _, door.port = await door.listener.listen("127.0.0.1", 0)
        return door

    yield start
    for door in doors:
        await door.close()


def section(authority: Authority, name: str = "gateway.test", **more: object) -> TlsSection:
    pair = authority.issue(name)
    return TlsSection(cert_file=pair.cert, key_file=pair.key, **more)  # type: ignore[arg-type]


async def shown_to(door: Door, name: str | None) -> str:
    """The common name of the certificate that a client sees who says `name`."""
    context = ssl.create_default_context(cafile=None)
    context.check_hostname, context.verify_mode = False, ssl.CERT_OPTIONAL
    context.load_verify_locations(door.authority_file)  # type: ignore[attr-defined]
    connecting = asyncio.open_connection("127.0.0.1", door.port, ssl=context, server_hostname=name or "")
    _, writer = await connecting
    door.opened.append(writer)
    subject = writer.get_extra_info("peercert")["subject"]
    return dict(one for part in subject for one in part)["commonName"]


async def nothing_pending(door: Door) -> None:
    while door.listener.pending:
        await asyncio.sleep(0)


def replace(files: tuple[Path, Path], pair: Pair) -> None:
    for name, path in zip(pair, files, strict=True):
        path.write_bytes(Path(name).read_bytes())


async def test_row_14_plain_http_to_the_tls_port_is_answered_in_plain_http(start, authority):
    door = await start(section(authority))
    begin = time.monotonic()
    reader, writer = await connect_plainly(door)
    writer.write(head())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"this port speaks TLS" in answer
    assert time.monotonic() - begin < 1


async def test_row_14_tls_to_the_plain_port_is_answered_with_an_alert(start, trusting):
    door = await start(None)
    begin = time.monotonic()
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        await asyncio.open_connection("127.0.0.1", door.port, ssl=trusting)
    assert time.monotonic() - begin < 1
    reader, writer = await connect_plainly(door)
    writer.write(b"\x16\x03\x01")
    assert await reader.read() == ALERT
    writer.close()


async def test_row_14_an_old_version_is_refused_with_an_alert(start, authority, trusting):
    door = await start(section(authority))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        trusting.minimum_version = trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version|internal error"):
        await door.connect()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_serve_and_agree_on_http_1_1(start, authority, trusting, version):
    door = await start(section(authority))
    trusting.minimum_version = trusting.maximum_version = version
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    reader, writer = await door.join(good())
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.write(frame(b"hi"))
    assert await reader.readexactly(4) == text_frame(b"hi")


async def test_row_13_silence_before_tls_and_after_it(start, authority):
    door = await start(section(authority))
    begin = time.monotonic()
    reader, writer = await connect_plainly(door)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert time.monotonic() - begin < 1
    assert not door.listener.pending
    reader, _ = await door.connect()
    assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    await nothing_pending(door)


async def test_row_13_time_for_tls_is_time_for_the_head(start, authority):
    """A handshake that takes most of the time leaves what is left of it."""
    door = await start(section(authority))
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = door.tls.wrap_bio(incoming, outgoing, server_hostname="gateway.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    begin = loop.time()
    reader, writer = await connect_plainly(door)
    hello = outgoing.read()
    for start_at in range(0, len(hello), 100):
        writer.write(hello[start_at : start_at + 100])
        await asyncio.sleep(SECONDS.head_seconds / (len(hello) // 100 + 2))
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    assert loop.time() - begin < 2 * SECONDS.head_seconds


async def test_a_certificate_for_each_name(start, authority):
    other = authority.issue("other.test")
    wild = authority.issue("*.wild.test")
    more = {"other": CertificateSection(other.cert, other.key), "wild": CertificateSection(wild.cert, wild.key)}
    door = await start(section(authority, certificates=more))
    door.authority_file = authority.ca
    assert await shown_to(door, "gateway.test") == "gateway.test"
    assert await shown_to(door, "OTHER.test") == "other.test"
    assert await shown_to(door, "a.wild.test") == "*.wild.test"
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        await shown_to(door, "nobody.test")


async def test_a_new_pair_is_shown_to_new_connections_and_drops_none(start, authority, tmp_path):
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    replace(files, authority.issue("first.test"))
    door = await start(TlsSection(cert_file=str(files[0]), key_file=str(files[1])))
    door.authority_file = authority.ca
    reader, writer = await door.join(good())
    certificates = door.certificates
    assert not certificates.reload_if_changed()
    replace(files, authority.issue("second.test"))
    assert certificates.reload_if_changed()
    assert await shown_to(door, None) == "second.test"
    writer.write(frame(b"hi"))
    assert await reader.readexactly(4) == text_frame(b"hi")


async def test_a_bad_pair_leaves_the_old_one_in_use(start, authority, tmp_path, caplog):
    good_pair, other = authority.issue("gateway.test"), authority.issue("other.test")
    cert = tmp_path / "cert.pem"
    shutil.copyfile(good_pair.cert, cert)
    door = await start(TlsSection(cert_file=str(cert), key_file=good_pair.key))
    door.authority_file = authority.ca
    for bad, reason in (
        (other.cert, f"{good_pair.key} is not the key of {cert}"),
        (other.key, f"{cert} holds no certificate in PEM"),
    ):
        shutil.copyfile(bad, cert)
        os.utime(cert, (time.time() + 5, time.time() + 5))
        assert not door.certificates.reload_if_changed()
        assert reason in caplog.text
        assert await shown_to(door, None) == "gateway.test"
    assert not door.certificates.reload_if_changed(), "it is not read again until it changes again"


async def test_a_client_is_who_its_certificate_says(start, authority, trusting):
    clients = ClientCertificates(ca_file=authority.ca, files=("doc-*",))
    door = await start(section(authority, clients=clients))
    client = authority.issue("ada")
    trusting.load_cert_chain(client.cert, client.key)
    await door.join(head("/ws?file=doc-1"))
    identity = door.admission.arrivals[-1].identity
    assert (identity.user, identity.auth_type, identity.files) == ("ada", "certificate", ("doc-*",))
    await door.join(good())
    assert door.admission.arrivals[-1].identity.auth_type != "certificate", "a token counts before a certificate"


async def test_a_required_certificate_is_required(start, authority):
    clients = ClientCertificates(ca_file=authority.ca, required=True)
    door = await start(section(authority, clients=clients))
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
        await door.ask(good())


async def test_a_certificate_of_another_authority_is_refused(start, authority, trusting, tmp_path):
    clients = ClientCertificates(ca_file=authority.ca)
    door = await start(section(authority, clients=clients))
    stranger = Authority(tmp_path).issue("ada")
    trusting.load_cert_chain(stranger.cert, stranger.key)
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca|decrypt.error"):
        await door.ask(good())


async def test_a_record_that_was_tampered_with_ends_the_connection(start, authority, caplog):
    caplog.set_level("INFO")
    door = await start(section(authority))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = door.tls.wrap_bio(incoming, outgoing, server_hostname="gateway.test")
    reader, writer = await connect_plainly(door)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65536))
    client.write(good())
    records = bytearray(outgoing.read())
    records[-1] ^= 1
    writer.write(bytes(records))
    incoming.write(await reader.read())
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
        client.read(100)
    writer.close()
    assert "bad record mac" in caplog.text
    await nothing_pending(door)


def test_mistakes_name_the_file_and_the_cure(authority, tmp_path):
    pair, other = authority.issue("gateway.test"), authority.issue("other.test")
    empty = tmp_path / "empty.pem"
    empty.touch()
    for cert, key, reason in (
        (str(tmp_path / "none.pem"), pair.key, "none.pem: No such file"),
        (pair.cert, str(tmp_path / "none.key"), "none.key: No such file"),
        (pair.cert, "", "key_file"),
        (str(empty), pair.key, "holds no certificate in PEM"),
        (pair.cert, str(empty), "holds no private key in PEM"),
        (pair.cert, other.key, "is not the key of"),
        (pair.key, pair.key, "holds no certificate in PEM"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            Certificates(TlsSection(cert_file=cert, key_file=key))
    with pytest.raises(ConfigurationError, match=r"clients.ca_file: .* holds no certificate"):
        Certificates(TlsSection(cert_file=pair.cert, key_file=pair.key, clients=ClientCertificates(ca_file=str(empty))))


@pytest.mark.parametrize(("days", "reason"), [(2, "is over since"), (-2, "is not valid before")])
def test_a_certificate_out_of_its_time_is_refused(authority, days, reason):
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    pair = authority.issue("gateway.test")
    with pytest.raises(ConfigurationError, match=reason):
        Certificates(TlsSection(cert_file=pair.cert, key_file=pair.key), lambda: now)


def test_a_key_with_a_passphrase_is_not_taken(authority, tmp_path):
    pair = authority.issue("gateway.test")
    key = serialization.load_pem_private_key(Path(pair.key).read_bytes(), None)
    locked = tmp_path / "locked.key"
    encryption = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    with pytest.raises(ConfigurationError, match="has a passphrase"):
        Certificates(TlsSection(cert_file=pair.cert, key_file=str(locked)))
