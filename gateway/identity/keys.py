"""What a key file holds, judged at start: a key that cannot be right is an error there, not a refusal of every token.

The rules for a secret are those of homing/cluster/devtoken.py, which reads the development key by itself (that package
imports no service); tests/unit/gateway/identity/test_keys.py compares the two.
"""

import codecs
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PublicKey = EllipticCurvePublicKey
Algorithm = Literal["HS256", "ES256"]

LEAST_SECRET = 32  # bytes of an HS256 key (RFC 7518 §3.2)
BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ANOTHER_SECRET = "make one with: head -c 32 /dev/urandom | base64"
ANOTHER_ALGORITHM = 'for a public key write algorithm = "ES256"'

_PEM = b"-----BEGIN"
_REMEDIES = {
    b"PRIVATE KEY": "a private key; keep it at the issuer, and make its public key with: openssl pkey -pubout",
    b"CERTIFICATE": "a certificate; make its public key with: openssl x509 -pubkey -noout",
}


def check(algorithm: Algorithm, raw: bytes) -> bytes:
    """The key in a file's bytes, without white space at both ends: a secret for HS256, a PEM for ES256.

    ValueError: it cannot be right. The message continues a sentence about the file, and says what to do.
    """
    if algorithm == "HS256":
        return _check_secret(raw)
    load_public(raw)
    return raw.strip()


def _check_secret(raw: bytes) -> bytes:
    if reason := unfit_secret(raw):
        raise ValueError(f"{reason}; {ANOTHER_ALGORITHM if _PEM in raw else ANOTHER_SECRET}")
    return raw.strip()


def unfit_secret(raw: bytes) -> str:
    """Why the bytes of a file cannot be the secret of HS256; "" when they can."""
    key = raw.strip()
    if not key:
        return "is empty"
    if _PEM in key:
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


def load_public(raw: bytes) -> PublicKey:
    """The public key of ES256 in a PEM (RFC 7468). ValueError as for `check`."""
    text = raw.strip()
    if not text:
        raise ValueError("is empty; ES256 needs the issuer's public key as PEM")
    if not _is_text(text):
        raise ValueError("is not UTF-8; ES256 needs a PEM: openssl pkey -pubin -inform DER makes one of a DER file")
    if _PEM not in text:
        raise ValueError('holds no PEM; ES256 needs one, and for a shared secret write algorithm = "HS256"')
    for label, found in _REMEDIES.items():
        if label in text:
            raise ValueError(f"holds {found}")
    return _load_pem(text)


def _load_pem(text: bytes) -> PublicKey:
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no PEM of a public key that can be read; make it with: openssl pkey -pubout") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("holds a key of another kind; ES256 needs one on the curve P-256 (prime256v1)")
    return key
