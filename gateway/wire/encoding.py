"""Core: a codec on a framing. What decides the bytes of a push, hence the key under which they are shared."""

from functools import cache

from gateway.wire.ports import Codec, Framing
from gateway.wire.values import PushedMessage


class Encoding:
    """One object per (codec, framing), made by `encoding_of`, so that identity is equality and a hash costs nothing."""

    __slots__ = ("codec", "framing")

    def __init__(self, codec: Codec, framing: Framing) -> None:
        self.codec = codec
        self.framing = framing

    def push(self, pushed: PushedMessage) -> bytes:
        """A push as finished frames, to be written to any number of transports with this encoding."""
        return self.framing.frame(self.codec.push(pushed))


@cache
def encoding_of(codec: Codec, framing: Framing) -> Encoding:
    """The encoding of this codec on this framing. Both are few: one per protocol, one per kind of transport."""
    return Encoding(codec, framing)
