"""A key that cannot be right is refused where it is read, with what to do; both readers of a secret judge alike."""

import codecs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.identity import keys
from homing.cluster import devtoken
from homing.cluster.errors import CommandError
from tests.support.tokens import PUBLIC_PEM

TEXT = b"0123456789abcdef" * 2
BINARY = b"\xf0" * 32
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PRIVATE_PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
UNFIT_SECRETS = {
    "empty": (b"", "is empty"),
    "white space": (b" \r\n", "is empty"),
    "short": (TEXT[:31] + b"\n", "has 31 bytes without the white space at its ends, and HS256 needs 32"),
    "public key": (PUBLIC_PEM, "holds a PEM, not a secret"),
    "UTF-8 with a mark": (codecs.BOM_UTF8 + TEXT, "begins with a byte order mark"),
    "UTF-16": (TEXT.decode().encode("utf-16"), "begins with a byte order mark"),
    "binary with a line end": (BINARY + b"\n", "is not UTF-8 and has white space at an end"),
}


def public_pem(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("raw", [TEXT, TEXT + b"\n", TEXT + b"\r\n", b"\n " + TEXT + b" \n", BINARY])
def test_a_secret_is_the_files_bytes_without_white_space_at_both_ends(tmp_path, raw):
    (tmp_path / devtoken.KEY).write_bytes(raw)
    assert keys.check("HS256", raw) == devtoken.read_key(tmp_path) == raw.strip()


@pytest.mark.parametrize(("raw", "reason"), UNFIT_SECRETS.values(), ids=UNFIT_SECRETS)
def test_a_secret_that_cannot_be_right(tmp_path, raw, reason):
    (tmp_path / devtoken.KEY).write_bytes(raw)
    remedy = r"algorithm = \"ES256\"" if raw == PUBLIC_PEM else r"head -c 32 /dev/urandom \| base64"
    with pytest.raises(ValueError, match=f"^{reason}.*; .*{remedy}$"):
        keys.check("HS256", raw)
    with pytest.raises(CommandError, match=rf"dev\.key {reason}.*; delete it, and `homing up` makes another$"):
        devtoken.read_key(tmp_path)
    with pytest.raises(CommandError):
        devtoken.ensure_key(tmp_path)
    assert keys.unfit_secret(raw) == devtoken.unfit_secret(raw)


@pytest.mark.parametrize("raw", [PUBLIC_PEM, b"\n" + PUBLIC_PEM + b"\r\n", PUBLIC_PEM.replace(b"\n", b"\r\n")])
def test_a_public_key_may_have_white_space_at_both_ends(raw):
    assert keys.load_public(keys.check("ES256", raw)) == keys.load_public(PUBLIC_PEM)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\n", "is empty; ES256 needs the issuer's public key as PEM"),
        (TEXT, 'holds no PEM; .* for a shared secret write algorithm = "HS256"'),
        (BINARY, "is not UTF-8; .* openssl pkey -pubin -inform DER"),
        (PRIVATE_PEM, "holds a private key; .* openssl pkey -pubout"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "holds a certificate; .* openssl x509"),
        (
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "holds no PEM of a public key that can be",
        ),
        (public_pem(ec.generate_private_key(ec.SECP384R1()).public_key()), "another kind; .* P-256"),
        (public_pem(rsa.generate_private_key(65537, 2048).public_key()), "another kind; .* P-256"),
    ],
    ids=["empty", "secret", "DER", "private", "certificate", "damaged", "P-384", "RSA"],
)
def test_a_public_key_that_cannot_be_right(raw, words):
    with pytest.raises(ValueError, match=words):
        keys.check("ES256", raw)
