"""Tokens for development: HS256 (RFC 7515, RFC 7519), signed with the run-dir's own key.

Forty lines of the standard library, so that `homing token` works in the smallest install. Nothing verifies here;
that is the gateway's part, which does it with a grown-up library.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from homing.cluster.trouble import CommandError

ISSUER = "homing-dev"
AUDIENCE = "homing"
KEY = "dev.key"


def ensure_key(run_dir: Path) -> Path:
    """The run-dir's key, made on first use and kept: tokens outlive a restart of the cluster."""
    key = run_dir / KEY
    if not key.exists():
        draft = run_dir / f".{KEY}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        draft.replace(key)
    return key


def read_key(run_dir: Path) -> bytes:
    """The key's bytes. Trouble: this run-dir has none."""
    place = run_dir / KEY
    try:
        return place.read_bytes().strip()
    except OSError:
        raise CommandError(
            f"no development key: {place} cannot be read; `homing up` makes one, --run-dir names its directory"
        ) from None


def sign(key: bytes, user: str, files: Sequence[str], now: float, ttl: float) -> str:
    """A token for `user` with grants for `files`, good from `now` (seconds since the epoch) for `ttl` seconds."""
    claims = {
        "sub": user,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": int(now + ttl),
        "files": list(files),
    }
    signed = b".".join(_segment(msgspec.json.encode(part)) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (signed + b"." + _segment(hmac.digest(key, signed, hashlib.sha256))).decode()


def _segment(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
