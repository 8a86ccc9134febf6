import pytest

from registry.keys import BatchKey, FileKey, Keys, NodeKey, SessionKey, encode_name, parse_key
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
