"""What the clients send, and what a gateway's own reader makes of it."""

import msgspec
import pytest

from bench.peers import messages
from bench.peers.endpoint import PeerEndpoint, request_of
from bench.peers.server_settings import ServerSettings, settings_of
from gateway.wire.deflate import inflate
from gateway.wire.messages import CompressedReceived, MessageLimits, MessageReceived, receive

LIMITS = MessageLimits(inflate=True)


def payload_of(frame: bytes) -> bytes:
    [event], _ = receive(frame, None, LIMITS)
    if isinstance(event, CompressedReceived):
        event = inflate(event, LIMITS)
    assert isinstance(event, MessageReceived)
    return bytes(event.payload)


@pytest.mark.parametrize("homing", [False, True])
def test_messages_have_their_sizes(homing: bool) -> None:
    assert len(payload_of(messages.small(homing))) == messages.SMALL
    assert len(payload_of(messages.large(homing, deflate=False))) == messages.LARGE


@pytest.mark.parametrize("homing", [False, True])
def test_a_compressed_message_is_the_same(homing: bool) -> None:
    plain, compressed = (messages.large(homing, deflate) for deflate in (False, True))
    assert payload_of(compressed) == payload_of(plain)
    assert len(compressed) < 0.8 * len(plain)


def test_a_gateway_gets_json() -> None:
    assert msgspec.json.decode(payload_of(messages.small(homing=True)))["type"] == "ping"
    assert msgspec.json.decode(payload_of(messages.large(homing=True, deflate=True)))["type"] == "event"


def test_a_bare_client_offers_no_subprotocol_and_has_no_token() -> None:
    request = request_of(PeerEndpoint(80, deflate=True), "ada").decode()
    assert request.startswith("GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n")
    assert "permessage-deflate" in request
    assert "Protocol" not in request
    assert "Authorization" not in request


def test_a_client_of_a_gateway_joins_the_file() -> None:
    request = request_of(PeerEndpoint(80, "/ws", key="00" * 32), "ada").decode()
    assert request.startswith("GET /ws?file=all HTTP/1.1\r\n")
    assert "Authorization: Bearer " in request
    assert "permessage-deflate" not in request


@pytest.mark.parametrize("settings", [ServerSettings(), ServerSettings(True, "cert", "key")])
def test_settings_are_a_command_line(settings: ServerSettings) -> None:
    assert settings_of(settings.arguments()) == settings


def test_no_certificate_is_no_tls() -> None:
    assert ServerSettings().tls() is None
