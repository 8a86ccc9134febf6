"""JSON with a lone surrogate is recognised, parsed by way of a substituted text, and carried as it is."""

import json
import time

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


@pytest.mark.parametrize("taken", [rb"\ue83d", "\ue83d".encode()], ids=["escape", "character"])
def test_characters_that_the_text_has_stand_for_no_surrogate(taken: bytes) -> None:
    substituted = substitute(b'["' + taken + rb'\ud83d"]')
    assert substituted is not None
    (parsed,) = msgspec.json.decode(substituted.text)
    assert [substituted.has_lone_surrogate(char) for char in parsed] == [False, True]


def test_a_text_that_uses_every_block_has_no_substitute() -> None:
    text = b'"' + rb"\ud83d" + b"".join(rb"\u%x801" % digit for digit in range(16) if digit != 13) + b'"'
    assert substitute(text) is None
    assert not is_json(text)


def test_escaped_backslashes_are_told_from_escapes() -> None:
    substituted = substitute(rb'"\\ud83d \\\ud83d \\\\ud83d"')
    assert substituted is not None
    assert substituted.text == rb'"\\ud83d \\\ue83d \\\\ud83d"'


@pytest.mark.parametrize("escapes", [rb"\ud83d", rb"\n", rb"\\", rb"\ud83d\ude00"])
def test_a_million_bytes_are_substituted_in_linear_time(escapes: bytes) -> None:
    """Row 55: CPU of ten times as much is below thirty times as much, the least of three runs each."""

    def cost(size: int) -> float:
        text = rb'["\ud83d' + escapes * (size // len(escapes)) + b'"]'
        begun = time.process_time()
        assert is_json(text)
        return time.process_time() - begun

    assert min(cost(1_000_000) for _ in range(3)) < 30 * min(cost(100_000) for _ in range(3)) + 0.01


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
