"""The text of others on a terminal: what could move the cursor, colour, reorder or forge lines is printed escaped.

Names, reasons and payloads come from clients and callers whom the reader does not know.
"""

import re

_UNSAFE = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences begin with them
    "\u2028\u2029"  # end lines
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of what follows
    "\ud800-\udfff"  # half a surrogate pair: UTF-8 cannot carry it
)
_unsafe = re.compile(f"[{_UNSAFE}]")


def printable(text: str) -> str:
    """The text on one line, in the escapes of Python and JSON: \\n, \\x1b, \\u202e."""
    return _unsafe.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_lines(text: str) -> str:
    """The text with its line ends, and all else escaped. For texts whose lines are our own."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    """A JSON text on one line, with the same value. Control characters are white space there: a string has none."""
    return _unsafe.sub(_json_escape, text)


def _json_escape(found: re.Match[str]) -> str:
    return " " if found[0] < " " else f"\\u{ord(found[0]):04x}"


def shortened(text: str, length: int) -> str:
    """The text, printable and at most `length` characters long."""
    shown = printable(text[: length + 1])
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"
