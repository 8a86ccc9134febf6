"""`homing up` with a certificate: its clients, a push and its ack, a renewed certificate, mistakes."""

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import websockets

from tests.support.certificates import Authority
from tests.support.up import HOMING, Up

pytestmark = pytest.mark.timeout(90)

CONFIG = """
[gateway.tls]
cert_file = "cert.pem"
key_file = "key.pem"
"""


def put(authority: Authority, name: str, folder: Path) -> None:
    pair = authority.issue(name)
    shutil.copyfile(pair.cert, folder / "cert.pem")
    shutil.copyfile(pair.key, folder / "key.pem")


def shown(port: int, trusting: ssl.SSLContext) -> str:
    """The name in the certificate that a new connection sees."""
    plain = socket.create_connection(("127.0.0.1", port))
    with trusting.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        subject = connection.getpeercert()["subject"]  # type: ignore[index]
    return str(dict(one for part in subject for one in part)["commonName"])  # type: ignore[misc]


async def test_clients_speak_tls_and_a_renewed_certificate_drops_none(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    put(authority, "first.test", tmp_path)
    (tmp_path / "homing.toml").write_text(CONFIG)
    trusting = ssl.create_default_context(cafile=authority.ca)
    with Up(tmp_path, "--config", str(tmp_path / "homing.toml")) as up:
        gateway = up.cluster["gateways"][0]
        port = int(gateway["url"].split(":")[2].partition("/")[0])
        assert gateway["url"].startswith("wss://")
        token = up.run("token", "--user", "ada").stdout.strip()
        async with websockets.connect(
            f"{gateway['url']}?token={token}", ssl=trusting, subprotocols=[websockets.Subprotocol("homing.json")]
        ) as client:
            await client.recv()
            command = ["push", "--user", "ada", "--event", "e", "--data", "1", "--ack-timeout", "5s"]
            pushing = asyncio.create_task(asyncio.to_thread(up.json, *command))
            message = json.loads(await client.recv())
            await client.send(json.dumps({"type": "ack", "ack": message["ack"], "data": 2}))
            assert (await pushing)["report"]["counts"] == {"ACKED": 1}
            assert shown(port, trusting) == "first.test"
            put(authority, "second.test", tmp_path)
            os.kill(gateway["pid"], signal.SIGHUP)
            async with asyncio.timeout(5):
                while await asyncio.to_thread(shown, port, trusting) != "second.test":
                    await asyncio.sleep(0.02)
            assert up.json("push", "--user", "ada", "--event", "e")["report"]["counts"] == {"WRITTEN": 1}
            assert json.loads(await client.recv())["event"] == "e"
        listening = up.command("listen", "--user", "bob", "--ca", authority.ca, "--json")
        process = await asyncio.create_subprocess_exec(*listening, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        assert json.loads(await process.stdout.readline())["type"] == "hello"
        process.terminate()
        await process.communicate()
        refused = up.run("listen", "--user", "bob")
        assert refused.returncode == 1
        assert "certificate is not accepted: unable to get local issuer certificate" in refused.stderr
        assert "--ca FILE" in refused.stderr


def test_a_certificate_of_no_use_is_found_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "homing.toml").write_text(CONFIG)
    command = [*HOMING, "up", "--run-dir", str(tmp_path / "run"), "--config", str(tmp_path / "homing.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    assert done.returncode == 2
    assert f"[gateway.tls] cert_file: {tmp_path}/cert.pem: No such file or directory" in done.stderr
    assert "Ready." not in done.stdout
