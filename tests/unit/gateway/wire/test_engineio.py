"""Packets and payloads of Engine.IO, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.engineio import (
    CLOSE,
    ENGINE_POLLING,
    ENGINE_WEBSOCKET,
    MAX_PACKETS,
    MESSAGE,
    PING,
    PROBE,
    SEPARATOR,
    MalformedPayload,
    Packet,
    parse_packet,
    parse_payload,
    reframe,
)
from gateway.wire.frames import binary_frame, text_frame
from gateway.wire.values import Message

TEXT, BINARY = Message(True, (b"he", b"llo")), Message(False, (b"\x01\x02",))
MESSAGES = st.lists(st.builds(Message, st.just(False), st.tuples(st.binary())), min_size=1, max_size=5)


def test_a_message_is_a_packet_on_both_transports() -> None:
    assert ENGINE_WEBSOCKET.frame((TEXT, BINARY)) == text_frame(b"4hello") + binary_frame(b"\x01\x02")
    assert ENGINE_POLLING.frame((TEXT, BINARY)) == b"4hello\x1ebAQI="


def test_text_with_a_separator_goes_as_binary_data_when_polling() -> None:
    assert ENGINE_POLLING.frame((Message(True, (b"a\x1eb",)),)) == b"bYR5i"


def test_packets_of_the_protocol_s_own() -> None:
    assert ENGINE_WEBSOCKET.packet(PING, PROBE) == text_frame(b"2probe")
    assert ENGINE_POLLING.packet(CLOSE) == b"1"


def test_a_payload_is_read_packet_by_packet() -> None:
    assert parse_payload(b"2probe\x1ebAQI=\x1e4hi") == [
        Packet(PING, PROBE),
        Packet(MESSAGE, b"\x01\x02", False),
        Packet(MESSAGE, b"hi"),
    ]
    assert parse_packet(False, b"x") == Packet(MESSAGE, b"x", False)


@pytest.mark.parametrize("body", [b"", b"9x", b"abc", b"b!", b"4\xff", b"4a\x1e", SEPARATOR * MAX_PACKETS])
def test_what_is_no_payload(body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        parse_payload(body)


@given(MESSAGES)
def test_what_waited_for_a_poll_goes_over_a_websocket_unchanged(messages: list[Message]) -> None:
    pieces = [ENGINE_POLLING.frame((message,)) for message in messages]
    expected = b"".join(ENGINE_WEBSOCKET.frame((message,)) for message in messages)
    assert reframe([SEPARATOR.join(pieces)], ENGINE_WEBSOCKET) == expected


def test_a_ping_that_waited_goes_over_too() -> None:
    assert reframe([b"2", b"4hi"], ENGINE_WEBSOCKET) == text_frame(b"2") + text_frame(b"4hi")
