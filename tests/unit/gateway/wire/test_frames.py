"""Single frames: lengths, goodbyes, the mask."""

import os

import pytest

from gateway.wire.frames import binary_frame, close_frame, ping_frame, pong_frame, text_frame, unmask


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x00"),
        (125, b"\x7d"),
        (126, b"\x7e\x00\x7e"),
        (65535, b"\x7e\xff\xff"),
        (65536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_lengths_take_their_shortest_form(size, head):
    payload = b"x" * size
    assert text_frame(payload) == b"\x81" + head + payload
    assert binary_frame(payload) == b"\x82" + head + payload


def test_control_frames():
    assert ping_frame() == b"\x89\x00"
    assert pong_frame(b"hi") == b"\x8a\x02hi"
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert close_frame(4408, "slow") == b"\x88\x06\x11\x38slow"
    assert close_frame(None) == b"\x88\x00"


def test_a_reason_is_cut_between_characters():
    assert close_frame(1000, "é" * 100) == b"\x88\x7c\x03\xe8" + "é".encode() * 61
    assert len(close_frame(1000, "x" * 200)) == 2 + 125


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 200, 4095, 4096, 4097, 65536, 65537])
def test_the_mask(size):
    mask, payload = os.urandom(4), os.urandom(size)
    assert unmask(mask, payload) == bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
