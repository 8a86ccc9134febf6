"""The handshake requests of load clients."""

import base64
import json

from bench.cluster.load.handshakes import Handshakes

SETTINGS = {"urls": [["127.0.0.1", 81], ["127.0.0.1", 82]], "key": b"k" * 32, "protocol": "homing.json", "files": []}


def handshakes(**change: object) -> Handshakes:
    settings = SETTINGS | change
    return Handshakes(settings | {"key": bytes(settings["key"]).hex()})


def test_each_user_has_a_token_and_a_gateway():
    requests = handshakes(files=["a b"])
    lines = requests.request(3).decode().split("\r\n")
    assert lines[0] == "GET /ws?file=a%20b HTTP/1.1"
    assert "Host: 127.0.0.1:82" in lines
    assert "Sec-WebSocket-Protocol: homing.json" in lines
    assert lines[-2:] == ["", ""]
    (token,) = [line.removeprefix("Authorization: Bearer ") for line in lines if line.startswith("Authorization")]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (claims["sub"], claims["files"]) == ("user-3", ["a b"])
    assert requests.address(3) == ("127.0.0.1", 82)


def test_a_request_to_a_baseline_server_has_no_token_and_no_protocol():
    text = handshakes(key=b"", protocol="").request(0).decode()
    assert "Authorization" not in text
    assert "Protocol" not in text


def test_the_urls_can_be_replaced():
    requests = handshakes()
    requests.set_urls([["127.0.0.1", 90]])
    assert requests.address(3) == ("127.0.0.1", 90)
    assert b"Host: 127.0.0.1:90\r\n" in requests.request(3)


def test_neighbouring_users_share_a_file():
    requests = handshakes(files=["all"], file_members=20)
    first_lines = [requests.request(user).split(b"\r\n")[0] for user in (19, 20)]
    assert first_lines == [b"GET /ws?file=all&file=document-0 HTTP/1.1", b"GET /ws?file=all&file=document-1 HTTP/1.1"]
