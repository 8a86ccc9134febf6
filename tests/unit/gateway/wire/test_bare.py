"""No envelope: the push's data, nothing around it."""

import pytest

from gateway.wire.bare import Bare
from gateway.wire.values import ClientEvent, ErrorReply, Hello, Message, Messages, PushedMessage

BARE = Bare()


def binary(payload: bytes) -> Messages:
    return (Message(False, (payload,)),)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "application/json; charset=utf-8", "text/plain", "Text/HTML;charset=x"]
)
def test_json_and_text_go_as_text(content_type):
    assert BARE.push(PushedMessage("e", b'{"a":1}', content_type, "p", "")) == (Message(True, (b'{"a":1}',)),)


@pytest.mark.parametrize("content_type", ["application/octet-stream", "image/png", "textual/x", "application/jsonx"])
def test_the_rest_goes_as_binary(content_type):
    assert BARE.push(PushedMessage("e", b"a", content_type, "p", "")) == binary(b"a")


def test_text_that_is_not_utf8_goes_as_binary():
    assert BARE.push(PushedMessage("e", b"\xe9", "text/plain; charset=latin-1", "p", "")) == (
        Message(False, (b"\xe9",)),
    )


def test_every_frame_up_is_an_event_without_a_name():
    assert BARE.read(True, b"{}") == ClientEvent("", b"{}", "text/plain; charset=utf-8")
    assert BARE.read(False, b"\0") == ClientEvent("", b"\0", "application/octet-stream")


def test_it_receives_pushes_only():
    assert BARE.name == ""
    assert BARE.hello(Hello(1, "u", "n", (), 1, 1, True)) == ()
    assert BARE.ok(1) == BARE.pong(1) == BARE.error(ErrorReply("busy", "x")) == ()
    assert BARE.reply(1, b"{}", "") == BARE.joined("doc") == BARE.left("doc") == BARE.reconnect(100, "drain") == ()
