"""Shell: a certificate and its key, read from files and judged before OpenSSL gets them."""

import datetime as dt
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from gateway.identity.identity import Identity
from gateway.identity.tokens import MAX_USER
from runtime.process.configuration import ConfigurationError

PUBLIC = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo


class Pair(NamedTuple):
    """A certificate with its key, both good."""

    setting: str  # e.g. gateway.tls
    cert_file: str
    key_file: str
    names: frozenset[str]  # DNS names in lower case, some with a wildcard as first label
    ends: dt.datetime


def read_pair(setting: str, cert_file: str, key_file: str, now: dt.datetime) -> Pair:
    """ConfigurationError, which names the file: it cannot be read, is over or not valid yet, or they do not match."""
    if not key_file:
        raise ConfigurationError(f"{setting}.key_file: {cert_file} needs its private key")
    certificate = _certificate(f"{setting}.cert_file", cert_file)
    key = _private_key(f"{setting}.key_file", key_file)
    if certificate.not_valid_after_utc <= now:
        over = certificate.not_valid_after_utc
        raise ConfigurationError(f"{setting}.cert_file: {cert_file} is over since {over:%Y-%m-%d %H:%M} UTC; renew it")
    if certificate.not_valid_before_utc > now:
        begins = certificate.not_valid_before_utc
        raise ConfigurationError(f"{setting}.cert_file: {cert_file} is not valid before {begins:%Y-%m-%d %H:%M} UTC")
    if certificate.public_key().public_bytes(*PUBLIC) != key:
        raise ConfigurationError(
            f"{setting}.key_file: {key_file} is not the key of {cert_file}, "
            "in which the gateway's own certificate must stand first"
        )
    return Pair(setting, cert_file, key_file, _dns_names(certificate), certificate.not_valid_after_utc)


def matches(names: frozenset[str], name: str) -> bool:
    """Whether a certificate with these names is good for a DNS name: exactly, or by a wildcard for its first label
    (RFC 6125 §6.4.3)."""
    name = name.lower().rstrip(".")
    return name in names or f"*.{name.partition('.')[2]}" in names


def identity_of(certificate: bytes, auth_type: str, files: tuple[str, ...]) -> Identity | None:
    """Who a client is by its verified certificate, in DER: the subject's common name. None: it has none that can be a
    user (docs/tokens.md)."""
    found = x509.load_der_x509_certificate(certificate)
    names = [str(one.value) for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or not 0 < len(names[0].encode()) <= MAX_USER or names[0].startswith("~"):
        return None
    return Identity(names[0], files, auth_type, found.not_valid_after_utc.timestamp())


def load_ca(context: ssl.SSLContext, setting: str, ca_file: str) -> None:
    """Trust the authorities in this file. ConfigurationError: it cannot be read, or has none."""
    _read(setting, ca_file)
    try:
        context.load_verify_locations(ca_file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"{setting}: {ca_file} holds no certificate in PEM: {error}") from None


def _certificate(setting: str, path: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_read(setting, path))[0]
    except ValueError:
        raise ConfigurationError(f"{setting}: {path} holds no certificate in PEM") from None


def _private_key(setting: str, path: str) -> bytes:
    """The public part of the private key in a file."""
    content = _read(setting, path)
    try:
        return serialization.load_pem_private_key(content, None).public_key().public_bytes(*PUBLIC)
    except TypeError:
        raise ConfigurationError(f"{setting}: {path} has a passphrase; store the key without one") from None
    except ValueError:
        raise ConfigurationError(f"{setting}: {path} holds no private key in PEM") from None


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{setting}: {path}: {error.strerror}") from None


def _dns_names(certificate: x509.Certificate) -> frozenset[str]:
    """Its subject alternative names; without any, its common name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        return frozenset(
            str(one.value).lower() for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        )
