"""Core: what clients send, as frames: to servers that echo, and to a gateway's sessions."""

import random
import string
import zlib

from bench.cluster.load.clients import masked_text_frame

SMALL, LARGE = 200, 65_536  # bytes of a message
TRIGGER = masked_text_frame(b"b")  # a server that echoes sends it to everybody instead
COMPRESSED = 0xC1  # FIN, RSV1, text (RFC 7692 §6)
_PING = '{"type":"ping","id":1,"pad":"'
_EVENT = '{"type":"event","event":"large","data":"'


def letters(size: int) -> str:
    """Random letters: three quarters of them are left when they are compressed."""
    return "".join(random.Random(size).choices(string.ascii_letters, k=size))


def small(homing: bool) -> bytes:
    """A frame that is answered with a message; for a gateway a ping."""
    return masked_text_frame(_filled(_PING, SMALL) if homing else letters(SMALL).encode())


def large(homing: bool, deflate: bool) -> bytes:
    """A frame of the largest message that clients may send by default; for a gateway an event, which is not answered.

    `deflate`: compressed, with so small a window that any server can read it.
    """
    payload = _filled(_EVENT, LARGE) if homing else letters(LARGE).encode()
    return compressed_frame(payload) if deflate else masked_text_frame(payload)


def compressed_frame(payload: bytes) -> bytes:
    """A client's compressed message in one frame."""
    stream = zlib.compressobj(wbits=-9)
    compressed = (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    frame = masked_text_frame(compressed)
    return bytes((COMPRESSED,)) + frame[1:]


def _filled(head: str, size: int) -> bytes:
    return f'{head}{letters(size - len(head) - 2)}"}}'.encode()
