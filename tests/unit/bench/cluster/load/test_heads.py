"""What a crowd's clients ask for."""

import base64
import json

from bench.cluster.load.heads import Heads

TOLD = {"urls": [["127.0.0.1", 81], ["127.0.0.1", 82]], "key": b"k" * 32, "protocol": "homing.json", "files": []}


def heads(**change: object) -> Heads:
    told = TOLD | change
    return Heads(told | {"key": bytes(told["key"]).hex()})


def test_each_user_has_a_token_and_its_own_gateway():
    made = heads(files=["a b"])
    lines = made.of(3).decode().split("\r\n")
    assert lines[0] == "GET /ws?file=a%20b HTTP/1.1"
    assert "Host: 127.0.0.1:82" in lines
    assert "Sec-WebSocket-Protocol: homing.json" in lines
    assert lines[-2:] == ["", ""]
    (token,) = [line.removeprefix("Authorization: Bearer ") for line in lines if line.startswith("Authorization")]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (claims["sub"], claims["files"]) == ("user-3", ["a b"])
    assert made.address(3) == ("127.0.0.1", 82)


def test_a_bare_server_is_asked_for_nothing():
    text = heads(key=b"", protocol="").of(0).decode()
    assert "Authorization" not in text
    assert "Protocol" not in text


def test_they_can_be_sent_elsewhere():
    made = heads()
    made.dial([["127.0.0.1", 90]])
    assert made.address(3) == ("127.0.0.1", 90)
    assert b"Host: 127.0.0.1:90\r\n" in made.of(3)
