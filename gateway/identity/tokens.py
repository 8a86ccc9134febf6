"""JWTs become identities: several named issuers, each with one key, one algorithm, one `iss` and one `aud`.

The algorithm belongs to the key, never to the token (RFC 8725 §3.1). The issuer is looked up by the token's own,
unverified `iss`; everything else is checked against that issuer's row, so a token can only choose who must have
signed it. No content of a token causes a fetch: headers that name or carry keys are refused outright
(docs/promises.md, rows 22-29).
"""

import binascii
import hashlib
import re
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Literal

import jwt
import msgspec

from gateway.identity import keys
from gateway.identity.identity import Identity
from gateway.identity.ports import Unauthorized

MAX_TOKEN = 16 * 1024  # bytes
MAX_USER = 256  # bytes of a uid
MAX_GRANT = 257  # bytes of a file name, or of a prefix with its *

_match_compact = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch
_KEYS_IN_HEADER = ("jku", "jwk", "x5u", "x5c")


Verifies = Callable[[bytes, bytes], bool]
"""Whether the second is a signature of the first."""


class Issuer(msgspec.Struct, frozen=True):
    """Someone whose tokens count here."""

    name: str  # what backends see as X-Auth-Type
    algorithm: Literal["HS256", "ES256"]
    key: bytes = b""  # HS256: the secret, at least 32 bytes; ES256: the public key as PEM
    iss: str = ""  # the exact value of the claim
    aud: str = ""  # the exact value of the claim

    def __repr__(self) -> str:
        return f"Issuer({self.name!r}, {self.algorithm}, iss={self.iss!r}, aud={self.aud!r})"  # never the key


class _Header(msgspec.Struct):
    alg: str


class _Claims(msgspec.Struct):
    iss: str
    sub: str
    exp: float
    aud: str | list[str]
    nbf: float = 0.0
    files: list[str] = []


class _OnlyIssuer(msgspec.Struct):
    iss: str


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode
_decode_issuer = msgspec.json.Decoder(_OnlyIssuer).decode


class Tokens:
    """Verifies tokens; remembers good ones, since a signature is a third of what a connect costs.

    Pure but for its memory: no clock, no I/O. `leeway` is seconds of difference allowed between two clocks.
    """

    def __init__(self, issuers: Iterable[Issuer], leeway: float = 5.0, remembered: int = 10_000) -> None:
        """Raises ValueError for a key that does not fit its algorithm, and for two issuers with one `iss`."""
        self._issuers: dict[str, tuple[Issuer, Verifies]] = {}
        for issuer in issuers:
            if issuer.iss in self._issuers or not issuer.iss or not issuer.aud:
                raise ValueError(f"issuer {issuer.name}: needs an aud, and an iss of its own")
            self._issuers[issuer.iss] = (issuer, _verifier(issuer))
        self._leeway = leeway
        self._remembered = remembered
        self._known: OrderedDict[bytes, Identity] = OrderedDict()  # by the token's hash, the least used first

    def verify(self, token: str, now: float) -> Identity:
        """Who this token stands for at `now` (seconds since the Unix epoch); raises Unauthorized."""
        if len(token) > MAX_TOKEN:
            raise Unauthorized(f"the token is longer than {MAX_TOKEN} bytes")
        if not _match_compact(token):
            raise Unauthorized("this is not a JWT")
        mark = hashlib.sha256(token.encode()).digest()
        identity = self._known.get(mark)
        if identity is None:
            identity = self._check(token, now)
            self._remember(mark, identity)
        else:
            self._known.move_to_end(mark)
        if now >= identity.expires + self._leeway:
            self._known.pop(mark, None)
            raise Unauthorized("the token has expired")
        return identity

    def _remember(self, mark: bytes, identity: Identity) -> None:
        self._known[mark] = identity
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)

    def _check(self, token: str, now: float) -> Identity:
        head, body, signature = token.split(".")
        try:
            payload = _decode_part(body)
            issuer, verifies = self._issuers[_decode_issuer(payload).iss]
            _judge_header(_decode_part(head), issuer)
            if not verifies(f"{head}.{body}".encode(), _decode_part(signature)):
                raise ValueError("another signature")
            claims = _decode_claims(payload)
        except KeyError:
            raise Unauthorized("the token's issuer is not known here") from None
        except msgspec.DecodeError as error:
            raise Unauthorized(f"the token's JSON is not good: {error}") from None
        except (ValueError, RecursionError):
            raise Unauthorized("the token's signature or form is not good") from None
        return self._judge_claims(claims, issuer, now)

    def _judge_claims(self, claims: _Claims, issuer: Issuer, now: float) -> Identity:
        if claims.aud not in (issuer.aud, [issuer.aud]):
            raise Unauthorized("the token is for another audience")
        if claims.nbf > now + self._leeway:
            raise Unauthorized("the token is not valid yet")
        if not 0 < len(claims.sub.encode()) <= MAX_USER or claims.sub.startswith("~"):
            raise Unauthorized("sub must have 1 to 256 bytes and may not begin with ~")
        if not all(0 < len(grant.encode()) <= MAX_GRANT for grant in claims.files):
            raise Unauthorized("a grant has 1 to 256 bytes")
        if now >= claims.exp + self._leeway:
            raise Unauthorized("the token has expired")
        return Identity(claims.sub, tuple(claims.files), issuer.name, claims.exp)


def _verifier(issuer: Issuer) -> Verifies:
    """Checks a signature (RFC 7515 §5.2) with this issuer's one algorithm and key; what else a header may say has been
    checked by then. The key is prepared once: for each token that costs more than the HMAC itself."""
    algorithm = jwt.get_algorithm_by_name(issuer.algorithm)
    key = algorithm.prepare_key(_load_key(issuer))
    return lambda signed, signature: algorithm.verify(signed, key, signature)


def _load_key(issuer: Issuer) -> bytes | keys.PublicKey:
    try:
        key = keys.check(issuer.algorithm, issuer.key)
    except ValueError as error:
        raise ValueError(f"issuer {issuer.name}: the key {error}") from None
    return key if issuer.algorithm == "HS256" else keys.load_public(key)


def _judge_header(head: bytes, issuer: Issuer) -> None:
    names = _decode_names(head)
    if _decode_header(head).alg != issuer.algorithm:
        raise Unauthorized("the token's algorithm is not its issuer's")
    if "crit" in names or "b64" in names:
        raise Unauthorized("the token asks for an extension that is not known here")
    if any(name in names for name in _KEYS_IN_HEADER):
        raise Unauthorized("the token brings or names its own key")


def _decode_part(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
