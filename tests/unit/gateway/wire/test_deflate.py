"""permessage-deflate: what is sent and read, and what hostile streams cost (docs/promises.md, rows 45-47)."""

import itertools
import time
import tracemalloc
import zlib

import pytest

from gateway.wire.bare import Bare
from gateway.wire.deflate import (
    MAX_FINAL_BLOCKS,
    WINDOW_BITS,
    CompressionSettings,
    DeflateFraming,
    deflate_framings,
    inflate,
)
from gateway.wire.encoding import encoding_of
from gateway.wire.messages import (
    CompressedReceived,
    MessageLimits,
    MessageReceived,
    MessageTooLarge,
    ProtocolViolation,
)
from gateway.wire.values import Message
from tests.support.deflated import deflated, inflated

LIMITS = MessageLimits(1000, inflate=True)
LARGE = MessageLimits(1_000_000, inflate=True)
JSON = b'{"id":1,"name":"Ada"},' * 100
HELLO = b"\xf2\x48\xcd\xc9\xc9\x07\x00"  # RFC 7692 §7.2.3.1


def read(payload: bytes, limits: MessageLimits = LIMITS, text: bool = False):
    return inflate(CompressedReceived(text, payload), limits)


def code(payload: bytes, limits: MessageLimits = LIMITS, text: bool = False) -> int:
    answer = read(payload, limits, text)
    assert isinstance(answer, ProtocolViolation)
    return answer.code


# What is sent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", WINDOW_BITS)
@pytest.mark.parametrize("text", [True, False])
def test_a_message_is_compressed_for_its_window(bits: int, text: bool) -> None:
    framing = DeflateFraming(bits, CompressionSettings())
    frame = framing.frame((Message(text, (JSON[:1000], JSON[1000:])),))
    assert frame[0] == (0xC1 if text else 0xC2)
    assert len(frame) < 126  # so its head has two bytes
    assert inflated(frame[2:], bits) == JSON


def test_a_short_message_and_one_that_does_not_shrink_are_sent_as_they_are() -> None:
    framing = DeflateFraming(15, CompressionSettings(threshold=100))
    noise = bytes(range(256))
    assert framing.frame((Message(True, (b"a" * 99,)),)) == b"\x81\x63" + b"a" * 99
    assert framing.frame((Message(True, (b"a" * 100,)),))[0] == 0xC1
    assert framing.frame((Message(False, (noise,)),)) == b"\x82\x7e\x01\x00" + noise


def test_every_message_is_compressed_where_that_is_the_point() -> None:
    framing = deflate_framings(CompressionSettings(), always=True)[15]
    for data in (b"", b"ab", bytes(range(100))):
        frame = framing.frame((Message(False, (data,)),))
        assert frame[0] == 0xC2
        assert inflated(frame[2:]) == data


def test_several_messages_are_as_many_frames() -> None:
    framing = DeflateFraming(15, CompressionSettings())
    messages = (Message(True, (b"a",)), Message(False, (JSON,)))
    assert framing.frame(messages) == b"".join(framing.frame((message,)) for message in messages)
    assert framing.frame(()) == b""


def test_a_push_is_compressed_once_for_each_window() -> None:
    framings, codec = deflate_framings(CompressionSettings()), Bare()
    assert list(framings) == list(range(9, 16))
    assert encoding_of(codec, framings[15]) is encoding_of(codec, framings[15])
    assert len({encoding_of(codec, framing) for framing in framings.values()}) == 7


# What is read ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        HELLO,
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",  # §7.2.3.3: not compressed
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",  # §7.2.3.4: a final block
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",  # §7.2.3.5: two blocks
    ],
)
def test_the_examples_of_rfc_7692(payload: bytes) -> None:
    assert read(payload, text=True) == MessageReceived(True, b"Hello")


def test_an_empty_message() -> None:
    assert read(b"\x00") == MessageReceived(False, b"")


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 999_999, 1_000_000])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_sizes_around_the_steps(size: int, level: int) -> None:
    data = bytes(size)
    assert read(deflated(data, level=level), LARGE) == MessageReceived(False, data)


def test_more_than_the_limit() -> None:
    assert read(deflated(bytes(1000))) == MessageReceived(False, bytes(1000))
    assert code(deflated(bytes(1001))) == 1009
    assert read(deflated(bytes(2000)), MessageLimits(1000, discard=5000)) == MessageTooLarge(1001)


def test_row_45_a_bomb_costs_no_more_than_the_limit() -> None:
    bomb = deflated(bytes(64_000_000), level=9)
    assert len(bomb) < 65_536
    for limits, expected in ((LARGE, ProtocolViolation), (MessageLimits(discard=16_000_000), MessageTooLarge)):
        tracemalloc.start()
        began = time.process_time()
        assert isinstance(read(bomb, limits), expected)
        assert time.process_time() - began < 0.05
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * limits.max_message
    assert code(bomb, LARGE) == 1009


def final_literals(number: int) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(b"a") + stream.flush()) * number + b"\x00"


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00\x00\x00\xff\xff" * 200_000 + b"\x00",  # stored blocks
        b"\x02\x08\x20\x80\x00" * 200_000 + b"\x00",  # blocks with fixed codes, 10 bits each
        b"\x03\x00" * 500_000 + b"\x00",  # final blocks, each the end of a stream
        final_literals(300_000),  # the same, with a byte in each
    ],
    ids=["stored", "fixed", "final", "final with a byte"],
)
def test_row_46_empty_blocks(payload: bytes) -> None:
    began = time.process_time()
    assert code(payload, LARGE) == 1007
    assert time.process_time() - began < 0.05


def test_a_few_empty_blocks_and_streams_are_nothing_bad() -> None:
    assert read(b"\x00\x00\x00\xff\xff" * 100 + HELLO) == MessageReceived(False, b"Hello")
    assert read(final_literals(MAX_FINAL_BLOCKS - 1)) == MessageReceived(False, b"a" * (MAX_FINAL_BLOCKS - 1))
    assert code(final_literals(MAX_FINAL_BLOCKS)) == 1007


def test_an_encoder_that_flushes_after_each_byte_is_understood() -> None:
    stream = zlib.compressobj(wbits=-15)
    pieces = [stream.compress(b"%c" % (at % 256)) + stream.flush(zlib.Z_SYNC_FLUSH) for at in range(2000)]
    assert read(b"".join(pieces)[:-4], LARGE) == MessageReceived(False, bytes(at % 256 for at in range(2000)))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"\x07", HELLO[:-1], HELLO[:-2], HELLO[:3], b"\x03\x00", HELLO + b"x", deflated(JSON)[:20]],
)
def test_row_47_a_corrupt_stream(payload: bytes) -> None:
    assert code(payload, LARGE) == 1007


def test_row_47_a_window_that_was_not_kept() -> None:
    stream = zlib.compressobj(wbits=-15)
    first, second = [stream.compress(JSON) + stream.flush(zlib.Z_SYNC_FLUSH) for _ in range(2)]
    assert read(first[:-4], LARGE) == MessageReceived(False, JSON)
    assert code(second[:-4], LARGE) == 1007


@pytest.mark.parametrize("text", [b"\xff", "é".encode()[:1], b"\xed\xa0\x80"])
def test_row_48_compressed_text_that_is_not_utf8(text: bytes) -> None:
    assert code(deflated(text), text=True) == 1007
    assert read(deflated(text)) == MessageReceived(False, text)
    assert read(deflated("é€".encode()), text=True) == MessageReceived(True, "é€".encode())


def test_what_cannot_be_compressed_may_be_a_little_longer_than_the_limit() -> None:
    noise = bytes(value for pair in itertools.permutations(range(256), 2) for value in pair)[:1000]
    for level, memory in itertools.product(range(10), range(1, 10)):
        stream = zlib.compressobj(level, zlib.DEFLATED, -9, memory, zlib.Z_FIXED)
        payload = stream.compress(noise) + stream.flush(zlib.Z_SYNC_FLUSH)
        assert len(payload) - 4 <= LIMITS.max_compressed()
