"""Shell: the secret that all processes of a cluster share, sent with every call of a node's port and checked there."""

from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path

from runtime.grpc_wire.call import Call, NoHandler, StreamHandler
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.server import MakeStreamHandler
from runtime.grpc_wire.status import UNAUTHENTICATED
from runtime.process.configuration import ConfigurationError

HEADER = b"homing-secret"
MIN_BYTES = 16

REFUSED = "this port is for the nodes and routers of the cluster: set the same [registry] secret_file for all of them"


class SharedSecret:
    """One for a process. Empty: calls carry nothing, and everybody may call."""

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret

    def metadata(self) -> HeaderFields:
        """What a call carries."""
        return [(HEADER, self._secret)] if self._secret else []

    def guard(self, methods: Mapping[str, MakeStreamHandler]) -> dict[str, MakeStreamHandler]:
        """The same methods, for callers that know the secret."""
        if not self._secret:
            return dict(methods)
        return {path: self._guarded(make) for path, make in methods.items()}

    def _guarded(self, make: MakeStreamHandler) -> MakeStreamHandler:
        def make_guarded(call: Call) -> StreamHandler:
            sent = dict(call.request_headers).get(HEADER, b"")
            if not compare_digest(sent, self._secret):
                call.handler = NoHandler()
                call.end(UNAUTHENTICATED, REFUSED)
                return call.handler
            return make(call)

        return make_guarded


NO_SECRET = SharedSecret()


def read_shared_secret(path: str) -> SharedSecret:
    """The secret in a file, without white space at both ends. ConfigurationError names it."""
    if not path:
        return SharedSecret()
    try:
        secret = Path(path).read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"registry.secret_file: {path}: {error.strerror}") from None
    if len(secret) < MIN_BYTES or not secret.isascii() or not secret.decode().isprintable():
        raise ConfigurationError(f"registry.secret_file: {path}: at least {MIN_BYTES} printable ASCII characters")
    return SharedSecret(secret)
