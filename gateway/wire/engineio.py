"""Core: Engine.IO, protocol 4: packets, the payloads of long-polling, and the framings of both transports.

The protocol: https://github.com/socketio/engine.io-protocol (v4). A packet is a digit and its data; over a WebSocket
each packet is a text message, and binary data a binary one. A payload of long-polling is packets between which U+001E
stands, binary data as `b` and base64.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import NamedTuple

from gateway.wire.frames import WEBSOCKET
from gateway.wire.ports import Framing
from gateway.wire.values import Message, Messages

PROTOCOL = "4"
SEPARATOR = b"\x1e"
MAX_PACKETS = 16_384  # of one payload

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_TYPES = frozenset((OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP))

PROBE = b"probe"  # the data of the ping and the pong that try a WebSocket out


class Packet(NamedTuple):
    """One packet. `type`: its digit; binary data is a MESSAGE whose `text` is false."""

    type: bytes
    data: bytes = b""
    text: bool = True


class MalformedPayload(Exception):
    """What a client sent is no packet or payload of the protocol."""


def parse_packet(text: bool, message: bytes) -> Packet:
    """The packet in one WebSocket message; raises MalformedPayload."""
    if not text:
        return Packet(MESSAGE, message, False)
    if message[:1] not in _TYPES:
        raise MalformedPayload("a packet of an unknown type")
    return Packet(message[:1], message[1:])


def parse_payload(body: bytes) -> list[Packet]:
    """The packets of a payload; raises MalformedPayload."""
    if body.count(SEPARATOR) >= MAX_PACKETS:
        raise MalformedPayload(f"more than {MAX_PACKETS} packets in one payload")
    try:
        body.decode()
    except UnicodeDecodeError:
        raise MalformedPayload("the payload is not UTF-8") from None
    return [_parse_part(part) for part in body.split(SEPARATOR)]


def _parse_part(part: bytes) -> Packet:
    if not part.startswith(b"b"):
        return parse_packet(True, part)
    try:
        return Packet(MESSAGE, base64.b64decode(part[1:], validate=True), False)
    except binascii.Error:
        raise MalformedPayload("binary data is not base64") from None


class EngineFraming:
    """Packets over a WebSocket (a `gateway.wire.ports.Framing`)."""

    def __init__(self, inner: Framing = WEBSOCKET) -> None:
        """`inner`: how the WebSocket's own messages are framed."""
        self._inner = inner

    def frame(self, messages: Messages) -> bytes:
        """Each message as a MESSAGE packet."""
        return self._inner.frame(tuple(Message(True, (MESSAGE, *one.parts)) if one.text else one for one in messages))

    def packet(self, type: bytes, data: bytes = b"") -> bytes:
        """A packet of the transport's own."""
        return self._inner.frame((Message(True, (type, data)),))


class PollingFraming:
    """Packets of a payload (a `gateway.wire.ports.Framing`): several pieces are joined by SEPARATOR."""

    def frame(self, messages: Messages) -> bytes:
        """Each message as a MESSAGE packet."""
        return SEPARATOR.join(map(_poll_message, messages))

    def packet(self, type: bytes, data: bytes = b"") -> bytes:
        """A packet of the transport's own."""
        return type + data


def _poll_message(message: Message) -> bytes:
    """Text that has a SEPARATOR cannot stand in a payload: it goes as binary data."""
    data = b"".join(message.parts)
    return MESSAGE + data if message.text and SEPARATOR not in data else b"b" + base64.b64encode(data)


ENGINE_WEBSOCKET = EngineFraming()
ENGINE_POLLING = PollingFraming()


def reframe(pieces: Iterable[bytes], framing: EngineFraming) -> bytes:
    """What waited for a poll, as it goes over a WebSocket."""
    return b"".join(_reframe_packet(packet, framing) for piece in pieces for packet in parse_payload(piece))


def _reframe_packet(packet: Packet, framing: EngineFraming) -> bytes:
    if packet.type == MESSAGE:
        return framing.frame((Message(packet.text, (packet.data,)),))
    return framing.packet(packet.type, packet.data)
