"""What the door writes."""

import json

import pytest

from gateway.door.answers import refused, switching
from gateway.door.extensions import DeflateParameters
from gateway.door.upgrade import Handshake
from gateway.door.values import Refusal


def test_the_101_names_a_subprotocol_only_when_one_was_agreed_on():
    assert switching(Handshake("proof", "")) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: proof\r\n\r\n"
    )
    assert b"\r\nSec-WebSocket-Protocol: homing.json\r\n\r\n" in switching(Handshake("proof", "homing.json"))


def test_the_101_names_the_extension_that_was_agreed_on():
    line = (
        b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        b"server_max_window_bits=12\r\n\r\n"
    )
    assert switching(Handshake("proof", "homing.json", DeflateParameters(12, True))).endswith(line)


def test_a_refusal_is_a_whole_answer():
    head, _, body = refused(
        Refusal(401, "unauthorized", 'say "who"', (("WWW-Authenticate", "Bearer"),)), "ab12", 784111777.0
    ).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 401 Unauthorized"
    assert lines[1:] == [
        "Date: Sun, 06 Nov 1994 08:49:37 GMT",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "WWW-Authenticate: Bearer",
    ]
    assert json.loads(body) == {"error": {"code": "unauthorized", "message": 'say "who"', "request_id": "ab12"}}


@pytest.mark.parametrize("status", [400, 403, 404, 405, 408, 413, 414, 426, 431, 500, 503, 505])
def test_every_status_has_a_phrase(status):
    first = refused(Refusal(status, "x", "y"), "1", 0.0).split(b"\r\n")[0]
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert first[13:].strip()


def test_upgrade_is_named_in_connection():
    assert b"Connection: close, Upgrade\r\n" in refused(Refusal(426, "x", "y", (("Upgrade", "websocket"),)), "1", 0.0)


def test_the_answer_to_head_has_the_length_and_no_body():
    refusal = Refusal(405, "x", "y")
    head, _, body = refused(refusal, "1", 0.0, is_head=True).partition(b"\r\n\r\n")
    assert (head + b"\r\n\r\n", body) == (refused(refusal, "1", 0.0).partition(b"{")[0], b"")
