"""What others named cannot write on the reader's terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.client.values import NodeDown, PresentSession, SessionConnected
from homing.command import locate, output, presence, push
from homing.command.printable import printable, printable_json, printable_lines, shortened
from homing.command.tables import table
from homing.command.watching import describe
from homing.v1 import router_pb2 as pb

HOSTILE = "a\x1b[2J\x9b31m\r\nforged\u202e\ud800\u2028"
ESCAPED = "a\\x1b[2J\\x9b31m\\r\\nforged\\u202e\\ud800\\u2028"


def test_a_text_is_printed_on_one_line_with_escapes():
    assert printable(HOSTILE) == ESCAPED
    assert printable("Ünïcode 漢字 🙂, {}") == "Ünïcode 漢字 🙂, {}"
    assert printable_lines("a\n b\x1b") == "a\n b\\x1b"
    assert shortened("x" * 11, 10) == "x" * 9 + "…"
    assert shortened("\x1b" * 10, 10) == "\\x1b\\x1b\\…"


@given(st.text())
def test_nothing_printed_ends_a_line_or_begins_an_escape_sequence(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode()


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_printed_on_one_line_with_the_same_value(value):
    for text in (json.dumps(value, ensure_ascii=False), json.dumps(value, indent=2)):
        shown = printable_json(text)
        assert json.loads(shown) == json.loads(text)
        assert len(shown.splitlines()) <= 1


SAFE = HOSTILE.replace("\ud800", "")  # protobuf carries no half of a pair
SHOWN = ESCAPED.replace("\\ud800", "")


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(table(("A",), [(SAFE,)])),
        presence.describe(
            pb.PresenceResponse(sessions=[pb.PresentSession(session=1, user=SAFE)], incomplete_nodes=[SAFE])
        ),
        locate.describe(pb.LocateResponse(why=SAFE)),
        push.describe(
            pb.PushReport(push_id=SAFE, counts={SAFE: 1}, trace_id=SAFE, deliveries=[pb.Delivery(user=SAFE)])
        ),
    ],
)
def test_what_a_verb_prints_has_no_control_characters(text):
    assert SHOWN in text
    assert all(line.isprintable() for line in text.split("\n"))
    assert "forged" not in [line[:6] for line in text.split("\n")]


@pytest.mark.parametrize("change", [NodeDown(SAFE), SessionConnected(PresentSession(1, SAFE, "g"))])
def test_a_watch_prints_a_change_on_one_line(change, capsys):
    output.print_line(describe(change))
    assert SHOWN in capsys.readouterr().out
