"""The command line of a server process. Only the standard library: other packages' environments have nothing else."""

import ssl
import sys
from typing import NamedTuple

MESSAGE = "m" * 200  # what a message of one byte sends to all connections
MAX_MESSAGE = 1 << 20  # bytes of a client's message
BACKLOG = 4096  # connections that wait for accept()
HOST = "127.0.0.1"


class ServerSettings(NamedTuple):
    """`deflate`: accept permessage-deflate. `cert`, `key`: PEM files; "": no TLS."""

    deflate: bool = False
    cert: str = ""
    key: str = ""

    def arguments(self) -> list[str]:
        """As a command line."""
        return ["deflate" if self.deflate else "no-deflate", self.cert, self.key]

    def tls(self) -> ssl.SSLContext | None:
        """The standard library's defaults for a server; None: no TLS."""
        if not self.cert:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        return context


def settings_of(arguments: list[str]) -> ServerSettings:
    """The settings in a command line."""
    deflate, cert, key = arguments
    return ServerSettings(deflate == "deflate", cert, key)


def command_line_settings() -> ServerSettings:
    """The settings of this process."""
    return settings_of(sys.argv[1:])
