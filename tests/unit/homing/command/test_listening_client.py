import pytest

from homing.command.listening_client import describe_message


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            {"type": "hello", "session": "7", "user": "ada", "node": "g1", "registered": True},
            "connected as ada, session 7, on node g1",
        ),
        (
            {"type": "hello", "session": "7", "user": "ada", "node": "g1", "registered": False},
            "connected as ada, session 7, on node g1 (not registered yet: the registry is away)",
        ),
        ({"type": "ok", "id": 1}, "joined plan"),
        ({"type": "error", "code": "forbidden", "message": "no grant", "id": 0}, "error forbidden: no grant (notes)"),
        (
            {"type": "event", "event": "hello", "data": {"a": "ä"}, "push": "p", "file": "notes"},
            'hello [notes] {"a": "ä"}',
        ),
        ({"type": "event", "event": "x", "data": "AA==", "content_type": "image/png"}, 'x (image/png, base64) "AA=="'),
        ({"type": "later"}, '{"type": "later"}'),
    ],
)
def test_messages_are_described_in_one_line(message, line):
    assert describe_message(message, ["notes", "plan"]) == line
