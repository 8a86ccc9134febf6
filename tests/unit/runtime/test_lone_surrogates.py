"""JSON with half a surrogate pair is recognised, parsed by way of a mended text, and carried as it is."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.lone_surrogates import is_json, mend

HALVES = [rb'"\ud83d"', rb'{"a":"\uD83D\ud83d\ude00 \udc00\ue000"}', rb'["\udfff", "\\ud800", {"\ud800": 1}]']


@pytest.mark.parametrize("text", HALVES)
def test_halves_are_json_and_come_back_as_they_were(text: bytes) -> None:
    mended = mend(text)
    assert mended is not None
    assert len(mended.text) == len(text)
    msgspec.json.decode(mended.text)
    assert mended.restore(mended.text) == text
    assert is_json(text)


@pytest.mark.parametrize("text", [b'"x"', rb'"\\ud83d"', rb'"\ud83d\ude00"', b"{", b'"\xed\xa0\xbd"'])
def test_a_text_without_halves_needs_no_mending(text: bytes) -> None:
    assert mend(text) is None


@pytest.mark.parametrize(
    "text", [rb'"\ud83dx', rb'{"\ud83d"}', b'"\xed\xa0\xbd"', b"", b"[" * 100_000, b'"\xff\\ud800"']
)
def test_what_is_no_json_stays_none(text: bytes) -> None:
    assert not is_json(text)


def test_a_string_that_had_a_half_is_known() -> None:
    mended = mend(rb'{"a":"x\ud83d","b":"\ue000"}')
    assert mended is not None
    parsed = msgspec.json.decode(mended.text)
    assert (mended.has_half(parsed["a"]), mended.has_half(parsed["b"])) == (True, False)


def test_a_text_that_uses_every_private_block_cannot_be_mended() -> None:
    assert mend(rb'"\ud83d \ue001 \ue801 \uf001"') is None
    assert not is_json(rb'"\ud83d \ue001 \ue801 \uf001"')


@pytest.mark.parametrize("value", [b"0", b"3", b"61", b"false", b'"a"'])
def test_a_value_without_an_escape_is_not_looked_for_inside_one(value: bytes) -> None:
    mended = mend(rb'["\ud83d\ud8FAlse\ud861",' + value + b"]")
    assert mended is not None
    assert mended.restore(value) == value


@given(st.recursive(st.text(st.characters(), max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=8))
def test_any_text_of_python_s_writer_is_json(value: object) -> None:
    text = json.dumps(value).encode()
    mended = mend(text)
    assert is_json(text)
    if mended is not None:
        assert mended.restore(mended.text) == text
        assert msgspec.json.decode(mended.text) is not None
