"""`homing up` whose gateways speak TLS: every way that leads to a client's URL, a rotation, and bad certificates."""

import asyncio
import datetime as dt
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request

import pytest
import websockets

from tests.support.certificates import Authority
from tests.support.up import HOMING, Listening, Up

TRIES = 100  # of 50 ms


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def up(authority, tmp_path_factory):
    """One gateway and one router; the configuration names the certificate by a relative path."""
    folder = tmp_path_factory.mktemp("tls")
    pair = authority.issue("localhost")
    (folder / "cert.pem").symlink_to(pair.cert)
    (folder / "key.pem").symlink_to(pair.key)
    (folder / "mine.toml").write_text('[gateway.tls]\ncert_file = "cert.pem"\nkey_file = "key.pem"\n')
    with Up(folder, "--gateways", "1", "--config", str(folder / "mine.toml")) as up:
        yield up


def trusting(authority):
    return ssl.create_default_context(cafile=authority.ca)


def connect(up, context, user):
    """A foreign client of this user, over wss."""
    token = up.run("token", "--user", user).stdout.strip()
    return websockets.connect(
        up.cluster["gateways"][0]["url"],
        ssl=context,
        subprotocols=[websockets.Subprotocol("homing.json")],
        additional_headers={"Authorization": f"Bearer {token}"},
    )


async def push(up, user, *flags):
    """The report of a push to a user, as `homing push` has it."""
    return (await asyncio.to_thread(up.json, "push", "--user", user, "--event", "e", "--data", "1", *flags))["report"]


def serial_number(connection):
    return connection.transport.get_extra_info("ssl_object").getpeercert()["serialNumber"]


def test_the_file_of_the_cluster_has_the_wss_url_and_listen_needs_no_flag(up):
    assert up.cluster["gateways"][0]["url"].startswith("wss://127.0.0.1:")
    with Listening(up, "--user", "lin") as listening:
        listening.wait("hello")
        assert up.json("push", "--user", "lin", "--event", "e", "--data", "1")["report"]["counts"] == {"WRITTEN": 1}
        assert listening.wait("event")["data"] == 1


def test_listen_by_url_takes_the_authority_from_a_flag_or_from_the_environment(up, authority, tmp_path):
    url = up.cluster["gateways"][0]["url"]
    with Listening(up, "--user", "url", "--url", url, "--ca", authority.ca) as listening:
        listening.wait("hello")
    without = up.run("listen", "--user", "url", "--url", url)
    assert without.returncode == 1
    assert "name who signed it with --ca FILE, or in HOMING_CA" in without.stderr
    plain = up.run("listen", "--user", "url", "--url", url.replace("wss:", "ws:"))
    assert plain.returncode == 1
    assert "a port that speaks TLS has a wss:// address" in plain.stderr


def test_the_page_and_its_client_come_over_https(up, authority):
    assert "https://127.0.0.1:" in up.log.read_text()
    base = up.cluster["gateways"][0]["url"].replace("wss:", "https:").removesuffix("/ws")
    for path, part in (
        ("/", b"<html"),
        ("/homing.js", b"class Homing"),
        ("/page.js", b'"wss"'),
        ("/dev/token?user=a", b"."),
    ):
        with urllib.request.urlopen(base + path, context=trusting(authority), timeout=5) as answer:
            assert part in answer.read(), path
    call = urllib.request.Request(f"{base}/v1/push", b'{"target": {"user": "nobody"}, "event": "e", "json": 1}')
    call.add_header("Content-Type", "application/json")
    call.add_header("Origin", base)
    with urllib.request.urlopen(call, context=trusting(authority), timeout=5) as answer:
        assert "report" in json.load(answer)


async def test_a_push_is_written_and_acked_and_a_rotation_keeps_the_connection(up, authority):
    async with connect(up, trusting(authority), "ada") as ada:
        assert json.loads(await ada.recv())["type"] == "hello"
        assert (await push(up, "ada"))["counts"] == {"WRITTEN": 1}
        assert json.loads(await ada.recv())["data"] == 1
        pushing = asyncio.create_task(push(up, "ada", "--ack-timeout", "5s"))
        asked = json.loads(await ada.recv())
        await ada.send(json.dumps({"type": "ack", "ack": asked["ack"]}))
        assert (await pushing)["counts"] == {"ACKED": 1}

        before = serial_number(ada)
        folder = up.run_dir.parent
        pair = authority.issue("rotated.example")
        for name, path in (("cert.pem", pair.cert), ("key.pem", pair.key)):
            (folder / "new").symlink_to(path)
            (folder / "new").replace(folder / name)
        os.kill(up.cluster["gateways"][0]["pid"], signal.SIGHUP)
        for _ in range(TRIES):
            async with connect(up, trusting(authority), "new") as new:
                if serial_number(new) != before:
                    break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("new connections have the old certificate")
        assert (await push(up, "ada"))["counts"] == {"WRITTEN": 1}
        assert json.loads(await ada.recv())["type"] == "event"


@pytest.mark.parametrize(
    ("name", "part"),
    [("old.example", "is over since"), ("gone", "No such file or directory"), ("text", "holds no certificate in PEM")],
)
@pytest.mark.parametrize("verb", ["gateway", "up"])
def test_with_a_bad_certificate_nothing_starts_and_one_line_names_the_file(authority, tmp_path, name, part, verb):
    pair = authority.issue(name, ends=dt.timedelta(minutes=-30))
    cert = tmp_path / f"{name}.pem"
    if name == "old.example":
        shutil.copy(pair.cert, cert)
    elif name == "text":
        cert.write_text("no certificate")
    config = tmp_path / "mine.toml"
    config.write_text(f'[gateway.tls]\ncert_file = "{cert.name}"\nkey_file = "{pair.key}"\n')
    key = tmp_path / "secret"
    key.write_text("a secret for tests only, 32 bytes or more")
    if verb == "gateway":
        issuer = [f"auth.issuers.t.{field}" for field in ("algorithm=HS256", f"key_file={key}", "iss=t", "aud=homing")]
        command = [*HOMING, "gateway", "--cert", str(cert), "--key", pair.key]
        command += [part for one in issuer for part in ("--set", one)]
    else:
        command = [*HOMING, "up", "--ports", "random", "--run-dir", str(tmp_path / "run"), "--config", str(config)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(cert) in done.stderr
    assert part in done.stderr
    assert time.monotonic() - began < 10
