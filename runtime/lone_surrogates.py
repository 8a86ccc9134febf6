r"""Core: JSON with a lone surrogate, such as `"\ud83d"`.

JavaScript strings may end within a pair, and JSON.stringify then writes the surrogate as an escape (well-formed
JSON.stringify, ECMA-262 §25.5.2.3). RFC 8259 §8.2 allows such a text and leaves its meaning open; msgspec refuses it.
So that a payload that is only carried can stay as it is, each lone surrogate is substituted by an escape, as long, of
a private-use character that the text does not have; the text can then be parsed, and the original be put back.
"""

import re
from typing import NamedTuple

import msgspec

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_find_lone = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW)).finditer
_DIGITS = (
    "eb0123456789acf"  # U+D800-DFFF may become U+E800-EFFF, U+B800-BFFF, ...: the first that the text does not use
)


class Substituted(NamedTuple):
    """A text without lone surrogates, of the same length, and the text that it was made of."""

    text: bytes
    original: bytes
    block: int  # the first of the 2,048 code points that stand for U+D800-DFFF

    def restore(self, part: bytes) -> bytes:
        """A JSON value of the text as it stands in the original.

        One without an escape stands there as it is: a bare `0` might be found inside a replaced escape. One with an
        escape begins with a quote or bracket, and where it is found again its escapes have the same meaning.
        """
        if b"\\u" not in part:
            return part
        start = self.text.find(part)
        return self.original[start : start + len(part)]

    def has_lone_surrogate(self, string: str) -> bool:
        """Whether a string that was parsed from the text had a lone surrogate."""
        return any(self.block <= ord(char) < self.block + 0x800 for char in string)


def substitute(text: bytes) -> Substituted | None:
    """The text with every lone surrogate replaced; None: it has none, or no block is free for it. One linear pass."""
    located = text.replace(rb"\\", b"\0\0")  # now each backslash begins an escape; nothing else is changed
    places = [found.start() for found in _find_lone(located)]
    if not places:
        return None
    try:
        characters = text.decode()
    except UnicodeDecodeError:
        return None
    digit = next((digit for digit in _DIGITS if not _uses(digit, characters, located)), None)
    if digit is None:
        return None
    substituted = bytearray(text)
    for place in places:
        substituted[place + 2] = ord(digit)  # behind the backslash and the u
    return Substituted(bytes(substituted), text, int(digit + "800", 16))


def is_json(text: bytes) -> bool:
    """Whether this is JSON (RFC 8259), lone surrogates included."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        substituted = substitute(text)
        return substituted is not None and is_json(substituted.text)
    except RecursionError:
        return False
    return True


def _uses(digit: str, characters: str, located: bytes) -> bool:
    """Whether the text has a character of U+<digit>800 to U+<digit>FFF, as it is or as an escape."""
    first = int(digit + "800", 16)
    escape = rb"\\u[%b%b][89a-fA-F][0-9a-fA-F]{2}" % (digit.encode(), digit.upper().encode())
    if re.search(escape, located):
        return True
    return re.search(f"[{re.escape(chr(first))}-{re.escape(chr(first + 0x7FF))}]", characters) is not None
