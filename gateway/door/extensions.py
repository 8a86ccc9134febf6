"""Core: negotiating permessage-deflate (RFC 7692 §5, §7.1; docs/promises.md, rows 16 and 18).

The header is read in one pass, each step matches at one place and never goes back, and a long one is not read. What is
malformed, unknown or impossible here is declined, never refused: a client that compresses badly can still speak
uncompressed.
"""

import re
from collections.abc import Container

import msgspec

DEFLATE = "permessage-deflate"
MAX_HEADER = 2048  # bytes that are read; a client's offers have 200 at most

# One token, one quoted string or one separator. The quantifiers are possessive: nothing is tried twice.
_match_lexeme = re.compile(r"""[ \t]*+(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]++)|"((?:[^"\\]|\\.)*+)"|([,;=])|\Z)""").match
_match_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++").fullmatch
_remove_escapes = re.compile(r"\\(.)").sub

_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}  # without leading zeros (RFC 7692 §7.1.2)
_DEFAULT_BITS = 15

Parameters = list[tuple[str, str | None]]
"""Name and value; None: without one."""


class DeflateParameters(msgspec.Struct, frozen=True):
    """What was agreed on. Neither side keeps its context from one message to the next; the client's window is its own
    affair, since a message is always inflated with the largest one."""

    window_bits: int = _DEFAULT_BITS  # of what this side sends
    in_answer: bool = False  # whether the client named the window, so that the answer must

    def answer(self) -> str:
        """The value of the 101's Sec-WebSocket-Extensions."""
        window = f"; server_max_window_bits={self.window_bits}" if self.in_answer else ""
        return f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover{window}"


def negotiate(header: str, window_bits: Container[int]) -> DeflateParameters | None:
    """The first offer that can be accepted (RFC 7692 §5), None: there is none. `window_bits`: what can be sent with."""
    for name, parameters in parse_extensions(header):
        agreed = _accept(parameters) if name == DEFLATE else None
        if agreed is not None and agreed.window_bits in window_bits:
            return agreed
    return None


def parse_extensions(header: str) -> list[tuple[str, Parameters]]:
    """The extensions of a header with their parameters (RFC 6455 §9.1); [] when any of it is malformed,
    or when there is too much."""
    lexemes = _lexemes(header) if len(header) <= MAX_HEADER else None
    if lexemes is None:
        return []
    extensions: list[tuple[str, Parameters]] = []
    for element in _split(lexemes, ","):
        parts = _split(element, ";")
        if parts == [[]]:
            continue  # an empty element of a list (RFC 9110 §5.6.1)
        parameters = [_parameter(part) for part in parts]
        name, value = parameters[0] or ("", "")
        if value is not None or None in parameters:
            return []
        extensions.append((name, [parameter for parameter in parameters[1:] if parameter is not None]))
    return extensions


def _accept(parameters: Parameters) -> DeflateParameters | None:
    """One offer; None when a parameter is unknown, stands twice or has a value that it cannot have (RFC 7692 §7.1)."""
    found = dict(parameters)
    if len(found) < len(parameters):
        return None
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        if found.pop(name, None) is not None:
            return None
    client_bits = found.pop("client_max_window_bits", None)
    named = "server_max_window_bits" in found
    server_bits = _WINDOW_BITS.get(found.pop("server_max_window_bits", None) or "") if named else _DEFAULT_BITS
    if found or server_bits is None or not (client_bits is None or client_bits in _WINDOW_BITS):
        return None
    return DeflateParameters(server_bits, named)


def _lexemes(header: str) -> list[str] | None:
    """Tokens and separators, in order; None when something is neither. A quoted string counts as the token in it, and
    what it holds must be one (RFC 6455 §9.1)."""
    found: list[str] = []
    at = 0
    while match := _match_lexeme(header, at):
        token, quoted, separator = match.groups()
        if quoted is not None:
            token = _remove_escapes(r"\1", quoted)
            if not _match_token(token) or found[-1:] != ["="]:
                return None
        elif token is None and separator is None:
            return found
        found.append(token or separator)
        at = match.end()
    return None


def _split(lexemes: list[str], separator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for lexeme in lexemes:
        if lexeme == separator:
            parts.append([])
        else:
            parts[-1].append(lexeme)
    return parts


def _parameter(lexemes: list[str]) -> tuple[str, str | None] | None:
    """`name` or `name=value`; None: it is something else."""
    match lexemes:
        case [name] if name != "=":
            return name, None
        case [name, "=", value] if "=" not in (name, value):
            return name, value
        case _:
            return None
