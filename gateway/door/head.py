"""Core: the one strict parser of HTTP/1.1 request heads. What it refuses reaches no other parser.

Two readers that disagree about where a head ends, or about what a header means, are how requests are smuggled. So
nothing is guessed here: lines end in CRLF, names are tokens that touch their colon, nothing is folded, and a length
that could be read in two ways is refused (RFC 9112 §2.2, §5, §6.3; docs/promises.md, rows 2, 3, 8-12).

The verdict depends on the bytes alone, never on how they were cut: each line is checked when its LF is there, or as
soon as it is too long to become a good one. A line that the pattern matches is taken at once; only what it does not
match is looked at closely.
"""

import re
from urllib.parse import parse_qsl

import msgspec

from gateway.door.values import Refusal

MAX_HEADERS = 64
MAX_PARAMETERS = 64  # of a query
MAX_LINE = 8 * 1024  # bytes of one header line, and of the request's target
MAX_HEAD = 64 * 1024  # bytes of the whole head
_MAX_REQUEST_LINE = MAX_LINE + 64  # the longest target, a method and the version

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# One repeated class and no alternatives: a line that does not match costs one pass over it, whatever it holds.
_match_header = re.compile(rf"({_TOKEN}):([\t\x20-\x7e\x80-\xff]*)\r\n").match
_match_request = re.compile(rf"({_TOKEN}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n").match
_AUTHORITY = r"[0-9A-Za-z._~%!$&'()*+,;=:\[\]\-]+"
_match_absolute = re.compile(rf"(?:https?|wss?)://({_AUTHORITY})([/?].*)?", re.IGNORECASE).fullmatch
_match_host = re.compile(_AUTHORITY).fullmatch
_find_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_match_digits = re.compile(r"[0-9]{1,18}").fullmatch

_SINGLE = frozenset(
    {"host", "content-length", "transfer-encoding", "authorization", "origin", "sec-websocket-key", "content-type"}
)


class Head(msgspec.Struct, frozen=True):
    """A request head that can be read in one way only."""

    method: str
    path: str  # as it was sent, never decoded
    query: tuple[tuple[str, str], ...]
    minor: int  # HTTP/1.<minor>
    headers: dict[str, str]  # lower-case name -> value; a list's lines are joined with ", " (RFC 9110 §5.3)

    def tokens(self, name: str) -> list[str]:
        """The comma-separated list in a header, without empty elements; [] when it is absent."""
        value = self.headers.get(name)
        return [] if value is None else [item for part in value.split(",") if (item := part.strip(" \t"))]

    def has_body(self) -> bool:
        """Whether the head announces a body."""
        return "transfer-encoding" in self.headers or int(self.headers.get("content-length", "0")) > 0


def bad_request(message: str) -> Refusal:
    """400: the request could not be read in one way only."""
    return Refusal(400, "bad_request", message)


_BARE_CR = bad_request("a CR without LF in the request head")
_BARE_LF = bad_request("a line of the request head ends in a bare LF")
_BAD_REQUEST_LINE = bad_request("the request line is malformed")
_HEADER_TOO_LONG = Refusal(431, "too_large", f"a header line is longer than {MAX_LINE} bytes")
_HEAD_TOO_LONG = Refusal(431, "too_large", f"the request head is longer than {MAX_HEAD} bytes")
_TOO_MANY_HEADERS = Refusal(431, "too_large", f"more than {MAX_HEADERS} header lines")
_URL_TOO_LONG = Refusal(414, "too_large", f"the request target is longer than {MAX_LINE} bytes")
_BAD_VERSION = Refusal(505, "unsupported_version", "this is an HTTP/1.1 server")


class HeadReader:
    """Collects one head from a stream of bytes, cut in any way. Used once."""

    __slots__ = ("_headers", "_lines", "_partial", "_request", "_seen", "rest")

    def __init__(self) -> None:
        self.rest = b""  # what came behind the head
        self._partial = b""  # a line without its end
        self._seen = 0  # bytes of whole lines so far
        self._lines = 0  # header lines so far
        self._request: tuple[str, str, int] | None = None  # method, target, minor version
        self._headers: dict[str, str] = {}

    def feed(self, data: bytes) -> Head | Refusal | None:
        """Take the next bytes; None while the head is not complete. After a verdict nothing more may be fed."""
        buffer = self._partial + data if self._partial else data
        text = buffer.decode("latin-1")  # one character a byte, so positions agree
        at = 0
        if b"\n" not in data:  # no line ends here: a drip of single bytes must not cost a match each
            self._partial = buffer
            return self._judge_unfinished(text)
        if self._request is None:
            if not self._seen and text.startswith("\r\n"):  # RFC 9112 §2.2: one empty line before a request is ignored
                self._seen = 2
                return self._go_on(buffer[2:])
            at, refusal = self._read_request_line(text)
            if refusal or not at:
                self._partial = buffer
                return refusal
        at, refusal = self._read_headers(text, at)
        if refusal:
            return refusal
        if text.startswith("\r\n", at):
            self.rest = buffer[at + 2 :]
            return self._finish()
        self._partial = buffer[at:]
        return self._judge_unmatched(text, at, MAX_LINE, _HEADER_TOO_LONG)

    def _go_on(self, rest: bytes) -> Head | Refusal | None:
        """Read on behind what was skipped."""
        self._partial = b""
        return self.feed(rest) if rest else None

    def _read_request_line(self, text: str) -> tuple[int, Refusal | None]:
        """Where the headers begin (0: the line is not complete), or why it is refused."""
        match = _match_request(text)
        if match is None or match.end() - 2 > _MAX_REQUEST_LINE:
            return 0, self._judge_unmatched(text, 0, _MAX_REQUEST_LINE, _URL_TOO_LONG)
        method, target, major, minor = match.groups()
        if len(target) > MAX_LINE:
            return 0, _URL_TOO_LONG
        if major != "1" or minor not in "01":
            return 0, _BAD_VERSION
        self._request = (method, target, int(minor))
        self._seen += match.end()
        return match.end(), None

    def _read_headers(self, text: str, at: int) -> tuple[int, Refusal | None]:
        """Take every whole good header line from `at` on; returns where the first other thing stands."""
        headers = self._headers
        begin = at
        while match := _match_header(text, at):
            end = match.end()
            if end - at > MAX_LINE + 2:
                return at, _HEADER_TOO_LONG
            if self._seen + end - begin > MAX_HEAD:
                return at, _HEAD_TOO_LONG
            self._lines += 1
            if self._lines > MAX_HEADERS:
                return at, _TOO_MANY_HEADERS
            name, value = match.groups()
            name = name.lower()
            value = value.strip(" \t")
            if name in headers:
                if name in _SINGLE:
                    return at, bad_request(f"more than one {name} header")
                value = f"{headers[name]}, {value}"
            headers[name] = value
            at = end
        self._seen += at - begin
        return at, None

    def _judge_unfinished(self, text: str) -> Refusal | None:
        if self._request is None:
            return self._judge_unmatched(text, 0, _MAX_REQUEST_LINE, _URL_TOO_LONG)
        return self._judge_unmatched(text, 0, MAX_LINE, _HEADER_TOO_LONG)

    def _judge_unmatched(self, text: str, at: int, limit: int, too_long: Refusal) -> Refusal | None:
        """A line from `at` on that is no good line: unfinished (None), or what is wrong with it.

        The order of the questions is the order in which a drip of single bytes would meet them.
        """
        end = text.find("\n", at)
        line = text[at:] if end < 0 else text[at:end]
        carriage = line.find("\r", 0, limit + 1)
        if 0 <= carriage < len(line) - 1:
            return _BARE_CR
        content = line[:-1] if carriage >= 0 else line
        if len(content) > limit:
            return too_long
        if self._seen + len(content) + 2 > MAX_HEAD:
            return _HEAD_TOO_LONG
        if end < 0:
            return None
        if carriage < 0:
            return _BARE_LF
        return _BAD_REQUEST_LINE if self._request is None else _explain_header(content)

    def _finish(self) -> Head | Refusal:
        """The head is complete: check what only the whole can show."""
        assert self._request is not None
        method, target, minor = self._request
        headers = self._headers
        host = headers.get("host")
        if (host is None and minor) or (host is not None and not _match_host(host)):
            return bad_request("exactly one good Host header is needed")
        refusal = _judge_length(headers)
        if refusal:
            return refusal
        absolute = _match_absolute(target)
        if absolute:  # RFC 9112 §3.2.2: its host counts, and not the Host header's
            headers["host"], target = absolute[1], "/" + (absolute[2] or "").removeprefix("/")
        path, _, question = target.partition("?")
        if not target.startswith("/") or "#" in target:
            return bad_request("the request target must be a path, or http://host/path")
        if question.count("&") >= MAX_PARAMETERS:
            return bad_request(f"more than {MAX_PARAMETERS} query parameters")
        try:
            query = _parse_query(question) if question else ()
        except ValueError:
            return bad_request("the query is malformed")
        path = path or "/"
        return Head(method, path, query, minor, headers)


def _explain_header(line: str) -> Refusal:
    if line.startswith((" ", "\t")):
        return bad_request("a folded header line")
    name, colon, _ = line.partition(":")
    if not colon:
        return bad_request("a header line without a colon")
    if name.endswith((" ", "\t")):
        return bad_request("white space between a header's name and its colon")
    return bad_request("a character that may not stand in a header")


def _judge_length(headers: dict[str, str]) -> Refusal | None:
    """Where the body ends must be beyond doubt (RFC 9112 §6.3)."""
    length = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if length is not None and not _match_digits(length):
        return bad_request("a malformed Content-Length")
    if coding is None:
        return None
    if length is not None:
        return bad_request("Content-Length beside Transfer-Encoding")
    return None if coding.lower() == "chunked" else bad_request("an unknown Transfer-Encoding")


def _parse_query(question: str) -> tuple[tuple[str, str], ...]:
    """Decoded name and value pairs; raises ValueError for bad escapes and bad UTF-8."""
    if _find_bad_escape(question):
        raise ValueError("bad escape")
    return tuple(parse_qsl(question, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS))
