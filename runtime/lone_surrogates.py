r"""Core: JSON with a lone surrogate, such as `"\ud83d"`.

JavaScript strings may end within a pair, and JSON.stringify then writes the surrogate as an escape (well-formed
JSON.stringify, ECMA-262 §25.5.2.3). RFC 8259 §8.2 allows such a text and leaves its meaning open; msgspec refuses it.
So that a payload that is only carried can stay as it is, each lone surrogate is substituted by an escape, as long, of
a private-use character that the text does not have; the text can then be parsed, and the original be put back.
"""

import re
from typing import NamedTuple

import msgspec

_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_BLOCKS = (0xE000, 0xE800, 0xF000)  # private-use blocks of 2,048, as the surrogates are


class Substituted(NamedTuple):
    """A text without lone surrogates, of the same length, and the text that it was made of."""

    text: bytes
    original: bytes
    block: int  # the first code point of the private-use block that stands for U+D800-DFFF

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
    """The text with every lone surrogate replaced; None: it has none, or no block is free for it."""
    found = [int(escape[2:6], 16) for escape in _ESCAPE.findall(text) if len(escape) == 6]
    if not any(0xD800 <= code < 0xE000 for code in found):
        return None
    try:
        characters = text.decode()
    except UnicodeDecodeError:
        return None
    taken = {*found, *(ord(char) for char in characters if "\ue000" <= char <= "\uf7ff")}
    block = next((first for first in _BLOCKS if not any(first <= code < first + 0x800 for code in taken)), None)
    return None if block is None else Substituted(_replaced(text, block), text, block)


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


def _replaced(text: bytes, block: int) -> bytes:
    def replace(found: re.Match[bytes]) -> bytes:
        escape = found[0]
        code = int(escape[2:6], 16) if len(escape) == 6 else 0
        return b"\\u%04x" % (code - 0xD800 + block) if 0xD800 <= code < 0xE000 else escape

    return _ESCAPE.sub(replace, text)
