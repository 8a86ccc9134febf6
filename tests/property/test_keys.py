"""Keys of the registry: any name survives the way through a key and back, and no two names share a key."""

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from registry.keys import BatchKey, FileKey, Keys, MalformedKey, NodeKey, SessionKey, encode_name, parse_key
from registry.model import Incarnation

STRUCTURE = st.text(alphabet="/.%~_-aA0 \x00\u00fc\U0001f600")  # what separates, escapes, or is escaped
NAMES = st.text() | STRUCTURE
INCARNATIONS = st.builds(Incarnation, NAMES, st.integers(1, 2**63 - 1))
SIDS = st.integers(1, 2**63 - 1)  # 0 is no session
KEYS = st.builds(Keys, NAMES)


def build(keys: Keys, parsed: NodeKey | BatchKey | SessionKey | FileKey) -> str:
    match parsed:
        case NodeKey(node):
            return keys.node(node)
        case BatchKey(node):
            return keys.batch(node)
        case SessionKey(user, sid, incarnation):
            return keys.session(user, sid, incarnation)
        case FileKey(file, incarnation):
            return keys.file(file, incarnation)


PARSED = (
    st.builds(NodeKey, NAMES)
    | st.builds(BatchKey, NAMES)
    | st.builds(SessionKey, NAMES, SIDS, INCARNATIONS)
    | st.builds(FileKey, NAMES, INCARNATIONS)
)


@given(keys=KEYS, parsed=PARSED)
def test_a_key_is_parsed_to_what_it_was_built_from(keys: Keys, parsed) -> None:
    key = build(keys, parsed)
    assert key.isascii()
    assert key.startswith(keys.prefix)
    assert parse_key(key, len(keys.prefix)) == parsed


@given(keys=KEYS, one=PARSED, other=PARSED)
@example(Keys("c"), NodeKey("a/b"), NodeKey("a%2Fb"))
@example(Keys("c"), FileKey("f", Incarnation("n.1", 2)), FileKey("f", Incarnation("n", 1)))
@example(Keys("c"), SessionKey("u/1", 2, Incarnation("n", 3)), SessionKey("u", 1, Incarnation("n", 3)))
def test_different_parts_have_different_keys(keys: Keys, one, other) -> None:
    assert (build(keys, one) == build(keys, other)) is (one == other and type(one) is type(other))


@given(one=NAMES, other=NAMES)
def test_no_key_of_one_cluster_is_below_another_cluster(one: str, other: str) -> None:
    assert Keys(one).node("n").startswith(Keys(other).prefix) is (one == other)


@given(NAMES)
def test_an_encoded_name_is_one_segment_without_structure(name: str) -> None:
    assert not set(encode_name(name)) & set("/.~")


@given(st.text())
def test_any_text_is_a_key_or_none_or_malformed(text: str) -> None:
    with suppress(MalformedKey):
        parse_key(text, 0)
