"""Signs tokens as the outside would: good ones, and the ones that must be refused."""

import base64
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.identity.tokens import Issuer

SECRET = b"a secret for tests only, 32 bytes or more"
OTHER_SECRET = b"another secret for tests, also 32 bytes or more"
_PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC_PEM = _PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)

SHARED = Issuer("shared", "HS256", SECRET, "https://issuer.example/shared", "homing")
SIGNED = Issuer("signed", "ES256", PUBLIC_PEM, "https://issuer.example/signed", "homing")


def claims(issuer: Issuer = SHARED, **changes: Any) -> dict[str, Any]:
    """Good claims for an hour; a change to None takes the claim away."""
    good = {"sub": "ada", "iss": issuer.iss, "aud": issuer.aud, "exp": int(time.time()) + 3600, "files": ["doc"]}
    return {name: value for name, value in (good | changes).items() if value is not None}


def sign(issuer: Issuer = SHARED, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token by this issuer."""
    key: Any = issuer.key if issuer.algorithm == "HS256" else _PRIVATE
    return jwt.encode(claims(issuer, **changes), key, algorithm=issuer.algorithm, headers=headers)


def forge(header: dict[str, Any] | bytes, body: dict[str, Any] | bytes, signature: bytes = b"x") -> str:
    """A token that no library would make."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, body)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, signature))


def sign_raw(body: bytes, key: bytes = SECRET, headers: dict[str, Any] | None = None, algorithm: str = "HS256") -> str:
    """A token with exactly these bytes as its claims, signed with HS256."""
    return jwt.PyJWS().encode(body, key, algorithm=algorithm, headers=headers)
