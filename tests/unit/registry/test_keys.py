from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.keys import BatchKey, FileKey, Keys, MalformedKey, NodeKey, SessionKey, encode_name, parse_key
from registry.model import Incarnation

NAMES = ["plain", "a/b", "a.b", "", "ü😀", "100%", "..", "~x", "a b", "%2F"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_survives_and_is_one_segment(name: str) -> None:
    keys = Keys("c.1/x")
    incarnation = Incarnation(name, 12)
    cases = [
        (keys.node(name), NodeKey(name)),
        (keys.batch(name), BatchKey(name)),
        (keys.session(name, 5, incarnation), SessionKey(name, 5, incarnation)),
        (keys.file(name, incarnation), FileKey(name, incarnation)),
    ]
    for key, parsed in cases:
        assert key.isascii()
        assert key.startswith("/homing/c%2E1%2Fx/")
        assert parse_key(key, len(keys.prefix)) == parsed


def test_an_encoded_name_holds_no_structure() -> None:
    assert not set("/.~") & set(encode_name("a/b.c~d"))


def test_keys_lie_where_the_design_says() -> None:
    keys = Keys("homing")
    incarnation = Incarnation("n", 3)
    assert keys.session("u", 1, incarnation) == "/homing/homing/sessions/u/1/n.3"
    assert keys.file("f", incarnation) == "/homing/homing/files/f/n.3"
    assert keys.machine(4) == keys.machines + "4" == "/homing/homing/machines/4"
    assert keys.batch("n") == keys.batches + "n" == "/homing/homing/batches/n"
    assert (keys.layout, keys.sweeper) == ("/homing/homing/layout", "/homing/homing/leaders/sweeper")
    assert str(incarnation) == "n.3"
    assert keys.floor(4) == "/homing/homing/floors/4"


@pytest.mark.parametrize(
    "rest",
    [
        "sessions/u/1",  # a part is missing
        "sessions/u/1/n.3/x",
        "sessions/u/0/n.3",
        "sessions/u/01/n.3",
        "sessions/u/+1/n.3",
        "sessions/u/1_0/n.3",
        "sessions/u/\u0663/n.3",  # a digit, but not of ours
        "sessions/u/18446744073709551616/n.3",  # 2^64
        "sessions/u/" + "9" * 5_000 + "/n.3",
        "sessions/u/1/n",
        "sessions/u/1/n.0",
        "sessions/u/1/n.9223372036854775808",  # 2^63
        "sessions/u%2/1/n.3",
        "sessions/u%41/1/n.3",  # another text of the same name: nobody would delete it
        "sessions/u%2f/1/n.3",
        "sessions/%FF/1/n.3",  # not UTF-8
        "sessions/" + "u" * 1_025 + "/1/n.3",
        "sessions/" + "%2E" * 1_025 + "/1/n.3",
        "files/f\udcff/n.3",  # a key whose bytes are not UTF-8
        "files/\u00fc/n.3",
        "files/f",
        "nodes/a/b",
        "nodes/~",
        "batches/a/b",
        "nodes",
    ],
)
def test_what_no_process_of_homing_writes_is_malformed(rest: str) -> None:
    prefix = "/homing/homing/"
    with pytest.raises(MalformedKey):
        parse_key(prefix + rest, len(prefix))


@pytest.mark.parametrize("rest", ["layout", "leaders/sweeper", "machines/7", "floors/7", "later/kind", ""])
def test_other_kinds_are_not_the_tables(rest: str) -> None:
    assert parse_key("/homing/homing/" + rest, len("/homing/homing/")) is None


segment = st.text("abcu.%~2EF-_0123456789\udcff\u00fc", max_size=6)


@given(kind=st.sampled_from(["sessions", "files", "nodes", "batches", "x"]), parts=st.lists(segment, max_size=4))
def test_any_key_is_read_as_it_is_built_or_is_malformed(kind: str, parts: list[str]) -> None:
    keys = Keys("homing")
    key = keys.prefix + "/".join([kind, *parts])
    with suppress(MalformedKey):
        match parse_key(key, len(keys.prefix)):
            case NodeKey(node):
                assert keys.node(node) == key
            case BatchKey(node):
                assert keys.batch(node) == key
            case SessionKey(user, sid, incarnation):
                assert keys.session(user, sid, incarnation) == key
            case FileKey(file, incarnation):
                assert keys.file(file, incarnation) == key
