"""Development tokens: JWT with HS256 (RFC 7515, RFC 7519), signed with the run-dir's own key.

Standard library only, so that `homing token` works in the smallest install. Verification is the gateway's part
(docs/tokens.md, "The development key").
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from homing.cluster.errors import CommandError

ISSUER = "homing-dev"
AUDIENCE = "homing"
KEY = "dev.key"


def ensure_key(run_dir: Path) -> Path:
    """The path of the run-dir's key. Created on first use and kept: tokens stay valid over a restart of the cluster."""
    key = run_dir / KEY
    if not key.exists():
        draft = run_dir / f".{KEY}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        draft.replace(key)
    return key


def read_key(run_dir: Path) -> bytes:
    """The run-dir's key. CommandError: there is none."""
    path = run_dir / KEY
    try:
        return path.read_bytes().strip()
    except OSError:
        raise CommandError(
            f"no development key: {path} cannot be read; `homing up` makes one, --run-dir names its directory"
        ) from None


def sign(key: bytes, user: str, files: Sequence[str], now: float, ttl: float) -> str:
    """A token for `user` with grants for `files`, valid from `now` (Unix time) for `ttl` seconds."""
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
