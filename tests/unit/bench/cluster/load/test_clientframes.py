"""A server's bytes as a client of the crowd reads them: whole, byte by byte, cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cluster.load import clientframes
from bench.cluster.load.clientframes import BINARY, CLOSE, PING, TEXT, cut, split_head, whole_text


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
        more, rest = cut(rest + data[at : at + size])
        found += more
    assert (found, rest) == (frames, b"")


@pytest.mark.parametrize("size", [1_000_000, 65_537, 1000, 127])
def test_whole_and_in_pieces(size):
    read(FRAMES, size)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_byte_by_byte(size):
    read(SMALL, size)


@given(st.binary(max_size=300), st.integers(0, 310))
def test_a_rest_waits_for_what_is_missing(payload, at):
    data = frame(TEXT, payload)
    at = min(at, len(data))
    frames, rest = cut(data[:at])
    assert frames == ([(TEXT, payload)] if at == len(data) else [])
    assert cut(rest + data[at:])[0] + frames == [(TEXT, payload)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535])
def test_the_usual_case_is_exactly_one_text_frame(length):
    data = frame(TEXT, b"x" * length)
    start = whole_text(data)
    assert start
    assert data[start:] == b"x" * length
    assert not whole_text(data[:-1] if length else data[:1])
    assert not whole_text(data + b"\x81")
    assert not whole_text(frame(BINARY, b"x" * length))


def test_a_frame_with_a_long_length_goes_the_long_way():
    assert whole_text(frame(TEXT, b"x" * 65_536)) == 0


def test_the_head():
    answer = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n"
    assert split_head(answer + b"\x81\x00") == (101, b"\x81\x00")
    for at in range(len(answer)):
        assert split_head(answer[:at]) is None
    assert split_head(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}") == (503, b"{}")


def test_a_head_without_an_end_or_a_status_is_no_answer():
    assert split_head(b"x" * clientframes.HEAD_LIMIT) == (0, b"")
    assert split_head(b"SSH-2.0\r\n\r\n") == (0, b"")


def test_what_clients_send():
    assert clientframes.masked(TEXT, b"abc") == b"\x81\x83\x00\x00\x00\x00abc"
    assert cut(clientframes.GOOD_BYE[:1] + b"\x02" + clientframes.GOOD_BYE[6:]) == ([(CLOSE, b"\x03\xe8")], b"")


def test_close_codes():
    assert clientframes.close_code(b"\x11\x38slow") == 4408
    assert clientframes.close_code(b"") == 1005
