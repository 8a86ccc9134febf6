"""Nothing that looks like a credential leaves in a log line."""

import json
import logging

import pytest

from runtime.process import logs
from runtime.process.logs import redact


@pytest.mark.parametrize(
    "text",
    [
        "GET /ws?token=eyJhbGciOi.JIUzI1NiJ9.abc",
        "Authorization: Bearer eyJhbGciOi.JIUzI1NiJ9.abc",
        "Bearer eyJhbGciOi.x",
    ],
)
def test_what_follows_a_tokens_name_is_blanked(text: str) -> None:
    event = redact(logging.getLogger(), "info", {"event": text, "n": 1})
    assert "eyJ" not in event["event"]
    assert "***" in event["event"]


def test_lines_are_json_with_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("info", service="test")
        logging.getLogger("some.module").info("said %s", "something", extra={"epoch": 7})
        line = capsys.readouterr().err
    finally:
        root.handlers[:], _ = handlers, root.setLevel(level)
    assert '"event": "said something"' in line
    assert '"epoch": 7' in line
    assert '"service": "test"' in line


@pytest.mark.parametrize(("level", "printed"), [("debug", ["theirs", "ours"]), ("error", [])])
def test_libraries_do_not_print_every_header(
    capsys: pytest.CaptureFixture[str], level: str, printed: list[str]
) -> None:
    root, chatty = logging.getLogger(), logging.getLogger("hpack.hpack")
    handlers, before = root.handlers[:], root.level
    try:
        logs.configure(level)
        chatty.debug("Decoded %s", "authorization")
        chatty.warning("theirs")
        logging.getLogger("homing").debug("ours")
        lines = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    finally:
        root.handlers[:], _ = handlers, root.setLevel(before)
        logging.getLogger("hpack").setLevel(logging.NOTSET)
    assert lines == printed
