"""JSON with a lone surrogate is recognised, parsed by way of a substituted text, and carried as it is."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.lone_surrogates import is_json, substitute

LONE = [rb'"\ud83d"', rb'{"a":"\uD83D\ud83d\ude00 \udc00\ue000"}', rb'["\udfff", "\\ud800", {"\ud800": 1}]']


@pytest.mark.parametrize("text", LONE)
def test_halves_are_json_and_come_back_as_they_were(text: bytes) -> None:
    substituted = substitute(text)
    assert substituted is not None
    assert len(substituted.text) == len(text)
    msgspec.json.decode(substituted.text)
    assert substituted.restore(substituted.text) == text
    assert is_json(text)


@pytest.mark.parametrize("text", [b'"x"', rb'"\\ud83d"', rb'"\ud83d\ude00"', b"{", b'"\xed\xa0\xbd"'])
def test_a_text_without_halves_needs_no_mending(text: bytes) -> None:
    assert substitute(text) is None


@pytest.mark.parametrize(
    "text", [rb'"\ud83dx', rb'{"\ud83d"}', b'"\xed\xa0\xbd"', b"", b"[" * 100_000, b'"\xff\\ud800"']
)
def test_what_is_no_json_stays_none(text: bytes) -> None:
    assert not is_json(text)


def test_a_string_that_had_one_is_known() -> None:
    substituted = substitute(rb'{"a":"x\ud83d","b":"\ue000"}')
    assert substituted is not None
    parsed = msgspec.json.decode(substituted.text)
    assert (substituted.has_lone_surrogate(parsed["a"]), substituted.has_lone_surrogate(parsed["b"])) == (True, False)


def test_a_text_that_uses_every_private_block_cannot_be_mended() -> None:
    assert substitute(rb'"\ud83d \ue001 \ue801 \uf001"') is None
    assert not is_json(rb'"\ud83d \ue001 \ue801 \uf001"')


@pytest.mark.parametrize("value", [b"0", b"3", b"61", b"false", b'"a"'])
def test_a_value_without_an_escape_is_not_looked_for_inside_one(value: bytes) -> None:
    substituted = substitute(rb'["\ud83d\ud8FAlse\ud861",' + value + b"]")
    assert substituted is not None
    assert substituted.restore(value) == value


@given(st.recursive(st.text(st.characters(), max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=8))
def test_any_text_of_python_s_writer_is_json(value: object) -> None:
    text = json.dumps(value).encode()
    substituted = substitute(text)
    assert is_json(text)
    if substituted is not None:
        assert substituted.restore(substituted.text) == text
        assert msgspec.json.decode(substituted.text) is not None
