"""Development tokens: JWT with HS256 (RFC 7515, RFC 7519), signed with the run-dir's own key.

Standard library only, so that `homing token` works in the smallest install. Verification is the gateway's part
(docs/tokens.md, "The development key").
"""

import base64
import codecs
import hashlib
import hmac
import math
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from homing.cluster.errors import CommandError

ISSUER = "homing-dev"
AUDIENCE = "homing"
KEY = "dev.key"
LONGEST_SECRET = 1_048_576  # bytes of a key's file
LEAST_SECRET = 32  # bytes of an HS256 key (RFC 7518 §3.2)
BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def ensure_key(run_dir: Path) -> Path:
    """The path of the run-dir's key. Created on first use and kept: tokens stay valid over a restart of the cluster.

    CommandError: the key that is there is of no use.
    """
    key = run_dir / KEY
    if key.exists():
        read_key(run_dir)
    else:
        draft = run_dir / f".{KEY}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        draft.replace(key)
    return key


def read_key(run_dir: Path) -> bytes:
    """The run-dir's key, without white space at both ends. CommandError: there is none, or it is of no use."""
    path = run_dir / KEY
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)  # a pipe would hang, a device has no end
        raw = _read_start(path) if is_file else b""
    except OSError:
        raise CommandError(
            f"no development key: {path} cannot be read; `homing up` makes one, --run-dir names its directory"
        ) from None
    if not is_file:
        raise CommandError(f"no development key: {path} is no regular file; remove it, and `homing up` makes another")
    if reason := unfit_secret(raw) or ("is too long" if len(raw) > LONGEST_SECRET else ""):
        raise CommandError(f"no development key: {path} {reason}; delete it, and `homing up` makes another")
    return raw.strip()


def _read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST_SECRET + 1)


def unfit_secret(raw: bytes) -> str:
    """Why the bytes of a file cannot be the secret of HS256; "" when they can. As in gateway/identity/keys.py."""
    key = raw.strip()
    if not key:
        return "is empty"
    if b"-----BEGIN" in key:
        return "holds a PEM, not a secret"
    if raw.startswith(BYTE_ORDER_MARKS):
        return "begins with a byte order mark, as UTF-16 does; a secret is saved as plain UTF-8"
    if len(key) < len(raw) and not _is_text(raw):
        return "is not UTF-8 and has white space at an end, which may or may not belong to the secret; use text"
    if len(key) < LEAST_SECRET:
        return f"has {len(key)} bytes without the white space at its ends, and HS256 needs {LEAST_SECRET}"
    return ""


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def sign(key: bytes, user: str, files: Sequence[str], now: float, ttl: float) -> str:
    """A token for `user` with grants for `files`, valid from `now` (Unix time) for `ttl` seconds.

    `exp` has whole seconds: the token is valid for up to a second longer, never shorter.
    """
    claims = {
        "sub": user,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": math.ceil(now + ttl),
        "files": list(files),
    }
    signed = b".".join(_segment(msgspec.json.encode(part)) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (signed + b"." + _segment(hmac.digest(key, signed, hashlib.sha256))).decode()


def _segment(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
