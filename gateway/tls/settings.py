"""Core: the settings of TLS for clients."""

import msgspec

from runtime.process.schema import FilePath
from runtime.process.setting_types import Seconds


class CertificateSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.tls.certificates.NAME]`: one more certificate, for clients that name one of its DNS names (SNI)."""

    cert_file: FilePath  # PEM file of the certificate, and of the intermediate ones behind it.
    key_file: FilePath  # PEM file of its private key, without a passphrase.


class ClientCertificates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.tls.clients]`: certificates of clients. The subject's common name is the user."""

    ca_file: FilePath = ""  # PEM file of the CAs that sign clients' certificates; "": no client is asked for one.
    required: bool = False  # Refuse clients without a certificate; otherwise they need a token, as ever.
    auth_type: str = "certificate"  # What backends see as X-Auth-Type; no issuer may have this name.
    files: tuple[str, ...] = ()  # Grants of every such client: file names, or prefix*.


class TlsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.tls]`: TLS on the listener for clients. SIGHUP reads the files again."""

    cert_file: FilePath = ""  # PEM file of the certificate, and of the intermediate ones behind it; turns TLS on.
    key_file: FilePath = ""  # PEM file of its private key, without a passphrase.
    check_seconds: Seconds = 10.0  # Seconds between two looks at whether a file has changed.
    certificates: dict[str, CertificateSection] = {}
    clients: ClientCertificates = ClientCertificates()

    @property
    def enabled(self) -> bool:
        """Whether clients speak TLS."""
        return bool(self.cert_file)
