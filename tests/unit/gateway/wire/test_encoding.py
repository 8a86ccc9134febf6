"""A push is encoded once per (codec, framing), and the encodings of equal pairs are one object."""

from gateway.wire.bare import Bare
from gateway.wire.encoding import encoding_of
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.frames import WEBSOCKET
from gateway.wire.values import Message, Messages, PushedMessage


class PollingFraming:
    """As Engine.IO's payloads: messages joined by the record separator."""

    def frame(self, messages: Messages) -> bytes:
        return b"\x1e".join(b"".join(message.parts) for message in messages)


def test_an_encoding_is_one_object_per_codec_and_framing() -> None:
    codec, polling = JsonEnvelope(), PollingFraming()
    assert encoding_of(codec, WEBSOCKET) is encoding_of(codec, WEBSOCKET)
    assert len({encoding_of(codec, WEBSOCKET), encoding_of(codec, polling), encoding_of(Bare(), WEBSOCKET)}) == 3


def test_the_same_messages_in_two_framings() -> None:
    pushed, codec = PushedMessage("e", b"1", "", "p", ""), Bare()
    assert encoding_of(codec, WEBSOCKET).push(pushed) == b"\x81\x011"
    assert encoding_of(codec, PollingFraming()).push(pushed) == b"1"
    several = (Message(True, (b"a", b"b")), Message(False, (b"c",)))
    assert WEBSOCKET.frame(several) == b"\x81\x02ab\x82\x01c"
    assert PollingFraming().frame(several) == b"ab\x1ec"
