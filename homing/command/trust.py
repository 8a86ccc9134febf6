"""Which certificates `homing listen` accepts from a gateway, and what its refusals mean.

`--ca` names the authority. Without that, a gateway of a cluster that was started here is trusted by its very
certificate, which `[gateway.tls]` of DIR/homing.toml names: whatever names are in it, since it is reached at this
machine's address. Any other gateway is judged by the system's authorities.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from homing.cluster import settings
from homing.cluster.errors import CommandError

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
NOT_YET_VALID, EXPIRED = 9, 10  # X509_V_ERR_* of openssl/x509_vfy.h
OTHER_NAME = (62, 63, 64)  # of a host, an e-mail address, an IP address


def client_context(ca: Path | None, run_dir: Path | None) -> ssl.SSLContext:
    """How a client of wss:// judges. `run_dir`: the cluster's, when the gateway comes from its cluster.json; None: any
    gateway. CommandError: a file cannot be read, or has no certificate."""
    if ca is not None:
        context = ssl.create_default_context()
        _load(context, ca, _read(ca))
        return context
    file = None if run_dir is None else run_dir / settings.NAME
    files = [] if file is None or not file.exists() else list(_certificates(settings.load(file)))
    if not files:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself ends the chain
    for file in files:
        own = _read(file).partition(END)[0].partition(BEGIN)[2]  # without intermediate ones, which sign others, too
        _load(context, file, BEGIN + own + END + "\n")
    return context


def refusal(error: ssl.SSLCertVerificationError) -> str:
    """Why a gateway's certificate was refused, and the cure."""
    why = error.verify_message
    if error.verify_code in OTHER_NAME:
        return f"its certificate has other names ({why.rstrip('.')}); connect by one of them"
    if error.verify_code in (EXPIRED, NOT_YET_VALID):
        return f"its certificate counts for nothing now ({why}); the gateway needs another one"
    return f"its certificate is not trusted ({why}); name who signed it with --ca FILE, or in HOMING_CA"


def _certificates(table: dict[str, Any]) -> Iterator[Path]:
    """The certificates of a cluster's gateways."""
    tls = table.get("gateway", {}).get("tls", {})
    for section in (tls, *tls.get("certificates", {}).values()):
        if file := section.get("cert_file"):
            yield Path(file)


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace")
    except OSError as error:
        raise CommandError(f"cannot read the certificate {file}: {error.strerror}") from None


def _load(context: ssl.SSLContext, file: Path, text: str) -> None:
    try:
        context.load_verify_locations(cadata=text.replace("\ufffd", "?"))
    except (ssl.SSLError, ValueError):
        raise CommandError(f"{file} holds no certificate in PEM") from None
