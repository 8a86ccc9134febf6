"""A server's frames as a load client reads them: whole, byte by byte, in any segmentation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cluster.load import client_frames
from bench.cluster.load.client_frames import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    parse_frames,
    split_response,
    text_payload_start,
)


def frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65_536:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload


SMALL = [(TEXT, b"a" * 10), (PING, b""), (TEXT, b"b" * 125), (BINARY, b"c" * 126), (CLOSE, b"\x03\xe8")]
FRAMES = [*SMALL, (TEXT, b"d" * 65_536), (TEXT, b"")]


def read(frames: list[tuple[int, bytes]], size: int) -> None:
    data = b"".join(frame(*one) for one in frames)
    found, rest = [], b""
    for at in range(0, len(data), size):
        more, rest = parse_frames(rest + data[at : at + size])
        found += more
    assert (found, rest) == (frames, b"")


@pytest.mark.parametrize("size", [1_000_000, 65_537, 1000, 127])
def test_whole_and_in_segments(size):
    read(FRAMES, size)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_byte_by_byte(size):
    read(SMALL, size)


@given(st.binary(max_size=300), st.integers(0, 310))
def test_an_incomplete_frame_is_kept(payload, at):
    data = frame(TEXT, payload)
    at = min(at, len(data))
    frames, rest = parse_frames(data[:at])
    assert frames == ([(TEXT, payload)] if at == len(data) else [])
    assert parse_frames(rest + data[at:])[0] + frames == [(TEXT, payload)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535])
def test_one_text_frame_is_recognised(length):
    data = frame(TEXT, b"x" * length)
    start = text_payload_start(data)
    assert start
    assert data[start:] == b"x" * length
    assert not text_payload_start(data[:-1] if length else data[:1])
    assert not text_payload_start(data + b"\x81")
    assert not text_payload_start(frame(BINARY, b"x" * length))


def test_a_frame_with_a_64_bit_length_is_not_recognised():
    assert text_payload_start(frame(TEXT, b"x" * 65_536)) == 0


def test_a_response_is_split_after_its_head():
    response = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n"
    assert split_response(response + b"\x81\x00") == (101, b"\x81\x00")
    for at in range(len(response)):
        assert split_response(response[:at]) is None
    assert split_response(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}") == (503, b"{}")


def test_a_head_without_an_end_or_a_status_has_status_0():
    assert split_response(b"x" * client_frames.MAX_HEAD_BYTES) == (0, b"")
    assert split_response(b"SSH-2.0\r\n\r\n") == (0, b"")


def test_masked_frames():
    assert client_frames.masked_frame(TEXT, b"abc") == b"\x81\x83\x00\x00\x00\x00abc"
    assert parse_frames(client_frames.CLOSE_1000[:1] + b"\x02" + client_frames.CLOSE_1000[6:]) == (
        [(CLOSE, b"\x03\xe8")],
        b"",
    )


def test_close_codes():
    assert client_frames.close_code(b"\x11\x38slow") == 4408
    assert client_frames.close_code(b"") == 1005
